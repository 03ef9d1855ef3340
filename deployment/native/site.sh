#!/usr/bin/env bash
# goligoli's services in processes of their own, without Docker: two of each, and nginx as ingress, on
# the servers of stack.sh.
#
#   site.sh up           starts what does not run; the servers of stack.sh must
#   site.sh env          prints exports: SITE_URL (the ingress), and for each instance
#                        SITE_PUSH_1_OPS_URL, and SITE_PUSH_1_URL if it has a public listener
#   site.sh status       one line for each process
#   site.sh down         ends all; their data and ports stay
#   site.sh remove       ends all and deletes their folder (not what is in the servers)
#   site.sh stop NAME    SIGTERM: says goodbye and ends        site.sh start NAME   on its ports again
#   site.sh kill NAME    kill -9                               site.sh restart NAME
#   site.sh pause NAME   SIGSTOP: hangs                        site.sh cont NAME    SIGCONT
#   site.sh roll         restarts each instance, one after the other
#
# SITE_BIN: the binary (default: target/release/goligoli of the repository). SITE_DIR: the folder
# with logs, pids and data (default: target/site); two sites with two folders do not disturb each
# other. SITE_CONFIG: a configuration file for all instances. The servers are those of the
# NATIVE_… variables, or else of stack.sh.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(realpath "$0")")
repository=$(realpath "$here/../..")
# shellcheck source=deployment/native/processes.sh
. "$here/processes.sh"

instances=(push-1 push-2 user-1 user-2 live-1 live-2 message-1 message-2 lottery-1 lottery-2 gateway-1 gateway-2)
servers=("${instances[@]}" ingress)

fetch() { curl -fsS --max-time 2 "$@"; }

# ---- One instance

load() { # FILE — NAME=value lines, as variables
    set -a
    # shellcheck disable=SC1090
    . "$1"
    set +a
}

# The whole configuration of an instance: docker-compose.yaml sets the same keys.
# shellcheck disable=SC2034 # They are exported: set -a.
configure() { # INSTANCE
    local at=127.0.0.1 site
    # Nothing that the caller's environment would set.
    unset "${!GOLIGOLI_@}"
    load "$folder/secrets/keys"
    # Each service gets what it needs, and not what another keeps secret.
    case $1 in user-*) ;; *) unset GOLIGOLI_ACCESS__SIGNING_KEY "${!GOLIGOLI_USER__@}" ;; esac
    case $1 in message-*) ;; *) unset "${!GOLIGOLI_MESSAGE__@}" ;; esac
    case $1 in lottery-*) ;; *) unset "${!GOLIGOLI_LOTTERY__@}" ;; esac
    load "$folder/secrets/native"
    site=$(site_name)

    set -a
    GOLIGOLI_RPC__INSTANCE=$1
    GOLIGOLI_DATA_DIR=$folder/data/$1
    GOLIGOLI_HTTP__LISTEN=$at:$(port "$1-http")
    GOLIGOLI_OPS__LISTEN=$at:$(port "$1-ops")
    GOLIGOLI_RPC__LISTEN=$at:$(port "$1-rpc")
    GOLIGOLI_RPC__ADVERTISE=$GOLIGOLI_RPC__LISTEN
    GOLIGOLI_DISCOVERY__URL="etcd://${NATIVE_ETCD_URL#http://}?prefix=$site"
    GOLIGOLI_DB__URL=${NATIVE_MYSQL_URL%/}/$site
    GOLIGOLI_PUSH__FEEDS="$NATIVE_REDIS_URL?prefix=$site"
    GOLIGOLI_QUEUE__URL="nsq://${NATIVE_LOOKUPD_HTTP#http://}?nsqd=$NATIVE_NSQD_TCP&prefix=$site"
    GOLIGOLI_OBJECTS__URL="s3://$site?endpoint=$NATIVE_S3_URL&region=us-east-1"
    GOLIGOLI_OBJECTS__ACCESS_KEY=$NATIVE_S3_KEY
    GOLIGOLI_OBJECTS__SECRET_KEY=$NATIVE_S3_SECRET
    if [ -n "${NATIVE_OTLP_URL:-}" ]; then GOLIGOLI_TRACES__URL=$NATIVE_OTLP_URL; fi
    GOLIGOLI_GATEWAY__TRUSTED_PROXIES="[\"$at/32\"]"
    set +a
}

# What is this site's in servers that it shares with others.
site_name() { local id; id=$(secret site); echo "site${id:0:8}"; }

goligoli() { # ARGUMENT… — becomes it
    local config
    config=$(<"$folder/data/config")
    exec "$(<"$folder/data/binary")" ${config:+--config "$config"} "$@"
}

run_server() { # NAME
    ulimit -n "$(ulimit -Hn)"
    if [ "$1" = ingress ]; then
        run_ingress
    else
        configure "$1"
        goligoli serve --service "${1%-*}"
    fi
}

is_ready() { # NAME
    case $1 in
        ingress) fetch "http://127.0.0.1:$(port ingress)/ingress/healthz" ;;
        *) fetch "http://127.0.0.1:$(port "$1-ops")/readyz" ;;
    esac
}

# ---- The ingress

servers() { # NAME
    local parameters
    for parameters in 'max_fails=1 fail_timeout=1s' 'backup max_fails=0'; do
        printf "server 127.0.0.1:%s $parameters;\n" "$(port "$1-1-http")" "$(port "$1-2-http")"
    done
}

prepare_ingress() {
    local at=$folder/data/ingress
    mkdir -p "$at"
    cp "$here/../ingress/nginx.conf" "$at"
    echo "listen 127.0.0.1:$(port ingress) backlog=4096;" >"$at/listen.conf"
    echo "access_log $folder/logs/ingress-requests.log requests;" >"$at/access_log.conf"
    servers push >"$at/push.conf"
    servers gateway >"$at/gateways.conf"
}

run_ingress() {
    local as_root=""
    # Its workers would be somebody else, who can't enter the folder.
    [ "$(id -u)" = 0 ] && as_root="user root;"
    exec nginx -p "$folder/data/ingress" -c "$folder/data/ingress/nginx.conf" -g "daemon off; $as_root"
}

# ---- Commands

choose_ports() {
    local name
    port ingress >/dev/null
    for name in "${instances[@]}"; do
        port "$name-http" >/dev/null
        port "$name-ops" >/dev/null
        port "$name-rpc" >/dev/null
    done
}

make_keys() { # what all instances of a service must have alike
    local keys
    keys=$(unset "${!GOLIGOLI_@}"; cd "$folder" && goligoli keys) || fail "\`goligoli keys\` failed"
    echo "$keys" >"$folder/secrets/keys"
}

up() {
    local name binary=${SITE_BIN:-$repository/target/release/goligoli} native
    "$repository/tests/need.sh" nginx curl
    [ -x "$binary" ] || fail "there is no binary $binary: build it (make build), or name one in SITE_BIN"
    # Kept: an instance that starts later is the same.
    realpath "$binary" >"$folder/data/binary"
    if [ -n "${SITE_CONFIG:-}" ]; then realpath -e "$SITE_CONFIG"; fi >"$folder/data/config"
    # Also while one of the servers is down.
    native=$(if [ -n "${NATIVE_MYSQL_URL:-}" ]; then export -p | sed -n 's/^declare -x \(NATIVE_\)/\1/p'; else "$here/stack.sh" env; fi)
    (
        umask 077
        cat >"$folder/secrets/native" <<<"$native"
        [ -s "$folder/secrets/keys" ] || make_keys
    )
    choose_ports
    (
        configure migrate
        ROOT_ACCESS_KEY=$NATIVE_S3_KEY ROOT_SECRET_KEY=$NATIVE_S3_SECRET \
            "$here/../container/make-bucket" "$NATIVE_S3_URL/$(site_name)" \
            && goligoli migrate
    ) >>"$folder/logs/migrate.log" 2>&1 || { tail -n 15 "$folder/logs/migrate.log" >&2; fail "the migration failed"; }
    prepare_ingress
    for name in "${servers[@]}"; do launch "$name"; done
    for name in "${servers[@]}"; do await "$name"; done
}

start() { launch "$1"; await "$1"; } # NAME

roll() {
    local name
    for name in "${instances[@]}"; do
        end "$name"
        start "$name"
        # Until the ingress sends it requests again (fail_timeout).
        sleep 2
    done
}

print_env() {
    local name variable
    [ -s "$folder/data/port.ingress" ] || fail "the site was never started (site.sh up)"
    echo "export SITE_URL=http://127.0.0.1:$(port ingress)"
    for name in "${instances[@]}"; do
        variable=SITE_${name^^}
        variable=${variable//-/_}
        echo "export ${variable}_OPS_URL=http://127.0.0.1:$(port "$name-ops")"
        case $name in
            push-* | gateway-*) echo "export ${variable}_URL=http://127.0.0.1:$(port "$name-http")" ;;
        esac
    done
}

target=${SITE_DIR:-$repository/target/site}
command=${1:-}
shift || true
case $command in
    up) open_folder "$target"; up ;;
    down) open_folder "$target"; end_all ;;
    remove) open_folder "$target"; end_all; forget_ports; rm -rf "$folder" ;;
    env) open_folder "$target" unlocked; print_env ;;
    status) open_folder "$target" unlocked; print_status ;;
    start) known "$@"; open_folder "$target"; start "$1" ;;
    stop) known "$@"; open_folder "$target"; end "$1" ;;
    restart) known "$@"; open_folder "$target"; end "$1"; start "$1" ;;
    kill) known "$@"; open_folder "$target"; murder "$1" ;;
    pause) known "$@"; open_folder "$target"; send STOP "$1" ;;
    cont) known "$@"; open_folder "$target"; send CONT "$1" ;;
    roll) open_folder "$target"; roll ;;
    __run) open_folder "$target" unlocked; enter "$1" ;;
    *) fail "up | env | status | down | remove | start, stop, restart, kill, pause, cont NAME | roll" ;;
esac
