module goligoli/compare/mercure

go 1.23

require github.com/dunglas/mercure v0.18.0
