#!/usr/bin/env bash
# Fan-out beside other servers, in one run: nginx with nchan, Centrifugo, Mercure, and a bare
# send loop as the limit. Prints a table. Arguments go to `bench-fanout compare` (--help).
# What is missing is installed (Debian's packages) or built (Go modules, into target/compare);
# a server that cannot be had is left out, and the run says so.
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/need.sh rust
tests/need.sh nchan || echo "going on without nginx + nchan" >&2

peers=$PWD/target/compare
mkdir -p "$peers"
go_install() { # FOLDER PACKAGE [FLAG]…
    [ -x "$peers/$1" ] && return
    echo "building $1" >&2
    # -mod=mod: go.mod names the server alone, go.sum pins what it needs.
    (cd "tests/compare/$1" && GOFLAGS=-mod=mod go build -o "$peers/$1" "${@:3}" "$2") || echo "going on without $1" >&2
}
if tests/need.sh go; then
    centrifugo=github.com/centrifugal/centrifugo/v5
    go_install centrifugo $centrifugo -ldflags "-X $centrifugo/internal/build.Version=5.4.9"
    go_install mercure github.com/dunglas/mercure/cmd/mercure
fi

cargo build --release --locked -p goligoli
cargo build --release --locked -p goligoli-tests --bin bench-fanout
target/release/bench-fanout compare "$@" | tee "$peers/result.md"
