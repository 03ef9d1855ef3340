#!/usr/bin/env bash
# Everything that holds goligoli together: style, documentation, unit, property, contract,
# end-to-end, load, API and browser tests. Stops at the first that fails.
#
# The servers of the cluster are installed, built and started for it (deployment/native/stack.sh),
# in a folder of their own, and ended again, also when a test fails; their logs stay there.
#
# Real danmaku files are played and imported too, if there are any: the XML files of REAL_DANMAKU,
# or of shared/data/danmaku beside the repository.
set -euo pipefail
real=${REAL_DANMAKU:+$(realpath -e "$REAL_DANMAKU")}
cd "$(dirname "$0")/.."
if [ -z "$real" ] && [ -d ../shared/data/danmaku ]; then real=$(realpath ../shared/data/danmaku); fi
if [ -n "$real" ]; then export REAL_DANMAKU=$real; fi

step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

step "tools"
tests/need.sh rust protoc node chromium python go curl mariadb redis etcd nginx

export NATIVE_DIR=$PWD/target/native-tests
stack=deployment/native/stack.sh
# What cargo and Go download and compile overlaps; it is waited for where the servers start.
$stack build &
building=$!
trap 'kill "$building" 2>/dev/null || true; $stack down' EXIT

step "page: types, tests, build"
(cd static && npm ci --no-audit --no-fund && npm test && npm run build)

step "style"
cargo fmt --all --check
cargo clippy --workspace --all-targets --features goligoli-tests/load,goligoli/failpoints --locked -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked

step "the cluster's servers"
wait "$building"
$stack remove
$stack up
native=$($stack env)
eval "$native"
export NATIVE_REQUIRED=1

step "unit, property, contract and end-to-end tests"
# This builds target/debug/goligoli too, since its own package has integration tests.
cargo test --workspace --features goligoli/failpoints --locked

step "services on MariaDB"
# The same selection of packages as above: nothing is compiled again.
TEST_DB_URL=$NATIVE_MYSQL_URL cargo test --workspace --features goligoli/failpoints --locked \
    --lib --test user --test message --test service -- --skip rpc:: --skip discovery:: --skip queue:: --skip objects::

step "end to end, every service in processes of its own"
# Two instances of each, behind the shipped ingress. Not here: what is one process's own, and what
# takes minutes there (`TOPOLOGY=apart cargo test … --test it` runs all).
TOPOLOGY=apart cargo test --workspace --features goligoli/failpoints --locked --test command_line --test it -- \
    deletion:: durability:: feed:: gap:: limiter:: lottery_evening:: lottery_prizes:: lottery_race:: lottery_rules:: \
    metrics:: moved:: replay_evening:: replay_owner:: restored:: revocation:: stream:: texts:: traces::

step "faults, a short round"
FAULTS=short TOPOLOGY=apart cargo test --workspace --features goligoli/failpoints --locked --test faults -- \
    --ignored --test-threads=1 --nocapture

step "deployment files"
SITE_BIN=target/debug/goligoli tests/deployment.sh

step "push under load"
# The packages of one selection share their dependencies: nothing is compiled twice.
cargo test --release --locked -p goligoli -p goligoli-tests --features goligoli-tests/load \
    --test command_line --test load -- --test-threads=1 --nocapture

step "draw: two verifiers"
tests/draw/agree.sh

step "replays: the programs that read their files"
tests/replay/formats.sh
if [ -n "$real" ]; then
    tests/replay/demo.sh
else
    echo "skipped: real danmaku files; there is no folder ../shared/data/danmaku, and REAL_DANMAKU names none"
fi

step "API: schemathesis on the OpenAPI document"
tests/api/run.sh

step "browser and event-stream clients"
tests/browser/run.sh

step "all passed"
