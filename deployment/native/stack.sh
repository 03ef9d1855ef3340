#!/usr/bin/env bash
# The servers of the cluster without Docker: MariaDB, Redis, etcd, NSQ, VersityGW (S3), Jaeger.
#
#   stack.sh up [NAME…]     installs and builds what is missing, starts what does not run
#   stack.sh env            prints the exports that tests and site.sh use
#   stack.sh status         one line for each server
#   stack.sh down           ends all; their data and ports stay
#   stack.sh remove         ends all and deletes their folder
#   stack.sh build          only installs and builds
#   stack.sh kill NAME      kill -9                    stack.sh start NAME   on the same port again
#   stack.sh stop NAME      SIGSTOP: hangs, keeps      stack.sh cont NAME    SIGCONT
#                           its connections
#
# Everything listens on loopback only, on ports that are chosen at the first `up` and kept.
# NATIVE_DIR: the folder of one stack (default: target/native of the repository); two stacks with
# two folders do not disturb each other. NATIVE_BIN: where built programs are cached
# (default: ~/.cache/goligoli/native).
set -euo pipefail
# Also as root's profile may not have it: where Debian puts mariadbd.
export PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(realpath "$0")")
repository=$(realpath "$here/../..")
# shellcheck source=deployment/native/processes.sh
. "$here/processes.sh"
# shellcheck source=deployment/native/build.sh
. "$here/build.sh"

servers=(mariadb redis etcd nsqlookupd nsqd nsqadmin versitygw jaeger)
bucket=goligoli

fetch() { curl -fsS --max-time 2 "$@"; }
local_url() { echo "http://127.0.0.1:$(port "$1")"; } # PORT-NAME

# ---- MariaDB

prepare_mariadb() {
    local at=$folder/data/mariadb as_root=""
    [ "$(id -u)" = 0 ] && as_root="user=root"
    # The default collation must tell "a" from "A" and "a " from "a", as SQLite does.
    cat >"$folder/data/mariadb.cnf" <<EOF
[mariadbd]
$as_root
datadir=$at
socket=$folder/data/mariadb.sock
pid_file=$folder/data/mariadb.pid
bind_address=127.0.0.1
port=$(port mariadb)
skip_name_resolve=ON
character_set_server=utf8mb4
collation_server=utf8mb4_nopad_bin
max_connections=500
innodb_use_native_aio=OFF
init_file=$folder/secrets/mariadb.sql
EOF
    (
        umask 077
        cat >"$folder/secrets/mariadb.sql" <<EOF
CREATE OR REPLACE USER goligoli@'127.0.0.1' IDENTIFIED BY '$(secret mariadb)';
GRANT ALL ON *.* TO goligoli@'127.0.0.1';
EOF
        cat >"$folder/secrets/mariadb-client.cnf" <<EOF
[client]
host=127.0.0.1
port=$(port mariadb)
user=goligoli
password=$(secret mariadb)
connect_timeout=2
EOF
    )
    [ -d "$at/mysql" ] && return
    rm -rf "$at.new"
    mariadb-install-db --no-defaults --datadir="$at.new" --skip-test-db \
        --auth-root-authentication-method=normal --user="$(id -un)" \
        >"$folder/logs/mariadb-install.log" 2>&1 \
        || fail "mariadb-install-db failed: see $folder/logs/mariadb-install.log"
    mv "$at.new" "$at"
}
run_mariadb() { exec mariadbd --defaults-file="$folder/data/mariadb.cnf"; }
ready_mariadb() { mariadb --defaults-file="$folder/secrets/mariadb-client.cnf" -e 'SELECT 1'; }

# ---- Redis

prepare_redis() {
    mkdir -p "$folder/data/redis"
    (
        umask 077
        cat >"$folder/secrets/redis.conf" <<EOF
bind 127.0.0.1
port $(port redis)
requirepass $(secret redis)
dir $folder/data/redis
appendonly yes
save ""
maxmemory-policy noeviction
EOF
    )
}
run_redis() { exec redis-server "$folder/secrets/redis.conf"; }
ready_redis() {
    [ "$(REDISCLI_AUTH=$(secret redis) timeout 2 redis-cli -h 127.0.0.1 -p "$(port redis)" PING)" = PONG ]
}

# ---- etcd

run_etcd() {
    local client peer
    client=$(local_url etcd) peer=$(local_url etcd-peer)
    exec etcd --name native --data-dir "$folder/data/etcd" --log-level warn \
        --listen-client-urls "$client" --advertise-client-urls "$client" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
        --initial-cluster "native=$peer" \
        --auto-compaction-mode periodic --auto-compaction-retention 1h
}
ready_etcd() { fetch "$(local_url etcd)/health" | grep -q '"health":"true"'; }

# ---- NSQ

run_nsqlookupd() {
    exec "$(program nsqlookupd)" -broadcast-address=127.0.0.1 \
        -tcp-address="127.0.0.1:$(port nsqlookupd-tcp)" -http-address="127.0.0.1:$(port nsqlookupd)"
}
ready_nsqlookupd() { fetch "$(local_url nsqlookupd)/ping"; }

prepare_nsqd() { mkdir -p "$folder/data/nsqd"; }
run_nsqd() {
    # No queue in memory, so that a kill -9 loses nothing that was acknowledged and waits.
    exec "$(program nsqd)" -broadcast-address=127.0.0.1 -data-path="$folder/data/nsqd" \
        -mem-queue-size=0 -tcp-address="127.0.0.1:$(port nsqd-tcp)" -http-address="127.0.0.1:$(port nsqd)" \
        -lookupd-tcp-address="127.0.0.1:$(port nsqlookupd-tcp)"
}
ready_nsqd() { fetch "$(local_url nsqd)/ping"; }

run_nsqadmin() {
    exec "$(program nsqadmin)" -http-address="127.0.0.1:$(port nsqadmin)" \
        -lookupd-http-address="127.0.0.1:$(port nsqlookupd)"
}
ready_nsqadmin() { fetch "$(local_url nsqadmin)/ping"; }

# ---- S3

prepare_versitygw() { mkdir -p "$folder/data/s3"; secret s3-key >/dev/null; secret s3-secret >/dev/null; }
run_versitygw() {
    ROOT_ACCESS_KEY=$(secret s3-key) ROOT_SECRET_KEY=$(secret s3-secret) \
        exec "$(program versitygw)" --quiet --port "127.0.0.1:$(port s3)" posix "$folder/data/s3"
}
ready_versitygw() { # and has its bucket
    ROOT_ACCESS_KEY=$(secret s3-key) ROOT_SECRET_KEY=$(secret s3-secret) \
        "$repository/deployment/container/make-bucket" "$(local_url s3)/$bucket"
}

# ---- Jaeger

run_jaeger() {
    local flags=() name
    for name in query.http-server query.grpc-server collector.http-server collector.grpc-server \
        collector.otlp.grpc collector.otlp.http admin.http; do
        flags+=("--$name.host-port=127.0.0.1:$(port "jaeger-$name")")
    done
    SPAN_STORAGE_TYPE=memory exec "$(program jaeger)" --memory.max-traces=50000 \
        --collector.otlp.enabled=true "${flags[@]}"
}
ready_jaeger() {
    listens "$(port jaeger-collector.otlp.grpc)" && fetch "$(local_url jaeger-query.http-server)/api/services"
}

# ---- Commands

choose_ports() { # once, by `up`: what runs beside it later only reads them
    local name
    for name in mariadb redis etcd etcd-peer nsqlookupd nsqlookupd-tcp nsqd nsqd-tcp nsqadmin s3 \
        jaeger-{query.http-server,query.grpc-server,collector.http-server,collector.grpc-server} \
        jaeger-{collector.otlp.grpc,collector.otlp.http,admin.http}; do
        port "$name" >/dev/null
    done
}

run_server() { "run_$1"; } # NAME
is_ready() { "ready_$1"; } # NAME

prepare() { # NAME
    if declare -F "prepare_$1" >/dev/null; then "prepare_$1"; fi
}

up() { # [NAME…]
    local name
    for name in "$@"; do known "$name"; done
    [ $# -gt 0 ] || set -- "${servers[@]}"
    install_and_build "$@"
    choose_ports
    for name in "$@"; do
        runs "$name" && continue
        prepare "$name"
        launch "$name"
    done
    for name in "$@"; do await "$name"; done
}

print_env() {
    local name
    # One that was killed since has its address still.
    for name in mariadb redis etcd nsqlookupd nsqd versitygw; do
        [ -e "$folder/pids/$name" ] || fail "$name was not started (stack.sh up)"
    done
    echo "export NATIVE_MYSQL_URL=mysql://goligoli:$(secret mariadb)@127.0.0.1:$(port mariadb)/"
    echo "export NATIVE_REDIS_URL=redis://:$(secret redis)@127.0.0.1:$(port redis)/0"
    echo "export NATIVE_NSQD_TCP=127.0.0.1:$(port nsqd-tcp)"
    echo "export NATIVE_NSQD_HTTP=$(local_url nsqd)"
    echo "export NATIVE_LOOKUPD_HTTP=$(local_url nsqlookupd)"
    # Tests that end an nsqd start one of their own.
    echo "export NATIVE_NSQ_BIN=$(dirname "$(program nsqd)")"
    echo "export NATIVE_NSQADMIN_URL=$(local_url nsqadmin)"
    echo "export NATIVE_ETCD_URL=$(local_url etcd)"
    echo "export NATIVE_S3_URL=$(local_url s3)"
    echo "export NATIVE_S3_BUCKET=$bucket"
    echo "export NATIVE_S3_KEY=$(secret s3-key)"
    echo "export NATIVE_S3_SECRET=$(secret s3-secret)"
    # Built last; a stack without it serves whatever needs no traces.
    [ -e "$folder/pids/jaeger" ] || return 0
    echo "export NATIVE_OTLP_URL=$(local_url jaeger-collector.otlp.grpc)"
    echo "export NATIVE_JAEGER_URL=$(local_url jaeger-query.http-server)"
}

target=${NATIVE_DIR:-$repository/target/native}
command=${1:-}
shift || true
case $command in
    up) open_folder "$target"; up "$@" ;;
    build) install_and_build "${servers[@]}" ;;
    down) open_folder "$target"; end_all ;;
    remove) open_folder "$target"; end_all; forget_ports; rm -rf "$folder" ;;
    env) open_folder "$target" unlocked; print_env ;;
    status) open_folder "$target" unlocked; print_status ;;
    kill) known "$@"; open_folder "$target"; murder "$1" ;;
    start) known "$@"; open_folder "$target"; runs "$1" || { prepare "$1"; launch "$1"; }; await "$1" ;;
    stop) known "$@"; open_folder "$target"; send STOP "$1" ;;
    cont) known "$@"; open_folder "$target"; send CONT "$1" ;;
    __run) open_folder "$target" unlocked; enter "$1" ;;
    *) fail "up [NAME…] | env | status | down | remove | build | kill NAME | start NAME | stop NAME | cont NAME" ;;
esac
