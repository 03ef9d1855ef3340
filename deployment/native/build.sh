# shellcheck shell=bash
# The programs of the native stack, for stack.sh, which sources this file: Debian's packages, and
# Go modules where Debian has none. A build is kept under the checksum of its go.mod and go.sum.

# shellcheck disable=SC2154 # $here, $repository: stack.sh sets them
native_bin=${NATIVE_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/goligoli/native}

# Which folder here pins a program, and its Go package.
go_module() { # NAME
    case $1 in
        nsqd | nsqlookupd | nsqadmin | nsq_stat) echo "nsq github.com/nsqio/nsq/apps/$1" ;;
        versitygw) echo "versitygw github.com/versity/versitygw/cmd/versitygw" ;;
        jaeger) echo "jaeger github.com/jaegertracing/jaeger/cmd/all-in-one" ;;
        *) return 1 ;;
    esac
}

program() { # NAME — the path of a built program
    local module sum
    read -r module _ <<<"$(go_module "$1")"
    sum=$(cat "$here/$module/go.mod" "$here/$module/go.sum" | sha256sum)
    echo "$native_bin/$module-${sum:0:12}/$1"
}

build() { # NAME — nothing if it is built
    local at module package work
    at=$(program "$1")
    [ -x "$at" ] && return
    "$repository/tests/need.sh" go
    echo "building $1" >&2
    read -r module package <<<"$(go_module "$1")"
    mkdir -p "${at%/*}"
    work=$(mktemp -d)
    cp "$here/$module"/go.* "$work"
    # -mod=mod: go.mod may name the server alone, go.sum pins what it needs.
    (cd "$work" && GOFLAGS=-mod=mod go build -o "$at.new" "$package") || fail "go build of $1 failed"
    rm -rf "$work"
    mv "$at.new" "$at"
}

install_and_build() { # NAME… — servers of the stack
    local name lock
    mkdir -p "$native_bin"
    exec {lock}>"$native_bin/lock"
    flock "$lock"
    "$repository/tests/need.sh" curl
    for name in "$@"; do
        case $name in
            mariadb | redis | etcd) "$repository/tests/need.sh" "$name" ;;
            nsqd) build nsqd; build nsq_stat ;;
            *) build "$name" ;;
        esac
    done
    exec {lock}>&-
}
