#!/usr/bin/env bash
# The page in Chromium and event-stream clients that others wrote, against real server
# processes. Test files may be named; GOLIGOLI is the binary, CHROMIUM the browser.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
export GOLIGOLI=${GOLIGOLI:-$root/target/debug/goligoli}

../need.sh node chromium curl python
# A debug build reads the page from its folder while it runs, so that one must be of these sources.
make --silent -C "$root" page
[ -x "$GOLIGOLI" ] || { ../need.sh rust; (cd "$root" && cargo build --locked -p goligoli); }

npm ci --no-audit --no-fund

venv=$(../venv.sh clients clients/requirements.txt)

[ $# -gt 0 ] || set -- *.test.js
# Two files at a time: each has a server and a browser of its own.
CLIENTS_PYTHON=$venv/bin/python exec node --test --test-reporter=spec --test-concurrency=2 "$@"
