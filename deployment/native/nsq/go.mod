module native

go 1.23

require github.com/nsqio/nsq v1.3.0

// A replace counts only in the main module, so nsq's own does not hold here.
replace github.com/judwhite/go-svc => github.com/mreiferson/go-svc v1.2.2-0.20210815184239-7a96e00010f6
