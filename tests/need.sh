#!/usr/bin/env bash
# Says in one line what is missing, or installs it where it can: tests/need.sh rust node chromium python
set -euo pipefail

missing() { echo "goligoli needs $1" >&2; exit 1; }

install_debian() { # PACKAGE… — as root on Debian or Ubuntu; otherwise says what to install
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing $*" >&2
        (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@") >&2
    else
        missing "$* (on Debian: sudo apt-get install $*)"
    fi
}

has_font() { # PART-OF-A-PATH, in lower case
    [[ $(fc-list 2>/dev/null | tr '[:upper:]' '[:lower:]') == *"$1"* ]]
}

for tool in "$@"; do
    case $tool in
        rust) command -v cargo >/dev/null || missing "Rust 1.94 or newer (https://rustup.rs)" ;;
        cargo-audit) command -v cargo-audit >/dev/null || cargo install cargo-audit --version 0.22.2 --locked --debug ;;
        protoc)
            # etcd-client's build reads the well-known types too.
            { command -v protoc >/dev/null && [ -e /usr/include/google/protobuf/descriptor.proto ]; } \
                || install_debian protobuf-compiler libprotobuf-dev ;;
        node)
            command -v npm >/dev/null || missing "Node.js 20.19 or newer with npm (https://nodejs.org)"
            node -e 'const [a,b]=process.versions.node.split(".").map(Number); process.exit(a>20||(a===20&&b>=19)?0:1)' \
                || missing "Node.js 20.19 or newer; this is $(node --version)" ;;
        chromium)
            [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || install_debian chromium
            has_font cjk || install_debian fonts-noto-cjk fonts-noto-color-emoji fontconfig ;;
        fonts) { has_font /inter && has_font coloremoji; } || install_debian fonts-inter fonts-noto-color-emoji fontconfig ;;
        curl) command -v curl >/dev/null || install_debian curl ca-certificates ;;
        mariadb)
            # The -core packages have the programs without the service that would start by itself.
            { [ -x /usr/sbin/mariadbd ] && command -v mariadb mariadb-install-db >/dev/null; } \
                || install_debian mariadb-server-core mariadb-client-core ;;
        redis) command -v redis-server redis-cli >/dev/null || install_debian redis-server ;;
        etcd) command -v etcd >/dev/null || install_debian etcd-server ;;
        nginx) [ -x /usr/sbin/nginx ] || install_debian nginx-light ;;
        nchan) [ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || install_debian nginx libnginx-mod-nchan ;;
        go)
            command -v go >/dev/null || missing "Go 1.23 or newer (https://go.dev/dl)"
            go env GOVERSION | grep -Eq '^go(1\.(2[3-9]|[3-9][0-9])|[2-9])' || missing "Go 1.23 or newer; this is $(go env GOVERSION)" ;;
        python) python3 -c 'import ensurepip, venv' 2>/dev/null || install_debian python3 python3-venv ;;
        *) missing "$tool, which tests/need.sh does not know" ;;
    esac
done
