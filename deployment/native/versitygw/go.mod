module native

go 1.23.0

require github.com/versity/versitygw v1.0.14
