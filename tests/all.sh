#!/usr/bin/env bash
# Everything that holds goligoli together: style, documentation, unit, property, contract,
# end-to-end, load, API and browser tests. Stops at the first that fails.
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
tests/need.sh rust protoc node chromium python

step "page: types, tests, build"
(cd static && npm ci --no-audit --no-fund && npm test && npm run build)

step "style"
cargo fmt --all --check
cargo clippy --workspace --all-targets --features goligoli-tests/load,goligoli/failpoints --locked -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked

step "unit, property, contract and end-to-end tests"
cargo build --locked -p goligoli --features failpoints
cargo test --workspace --features goligoli/failpoints --locked

step "services on MariaDB"
if [ -n "${NATIVE_MYSQL_URL:-}" ]; then
    TEST_DB_URL=$NATIVE_MYSQL_URL cargo test --locked -p goligoli-user -p goligoli-live -p goligoli-message -p goligoli-lottery
elif [ "${NATIVE_REQUIRED:-}" = 1 ]; then
    echo "NATIVE_MYSQL_URL names no server" >&2
    exit 1
else
    echo "skipped: NATIVE_MYSQL_URL names no server"
fi

step "push under load"
cargo build --release --locked -p goligoli
cargo test --release --locked -p goligoli-tests --features load --test load -- --test-threads=1 --nocapture

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
