#!/usr/bin/env bash
# Holds the running API against its own OpenAPI document with schemathesis (version and
# seed are pinned): anonymous, then signed in as a streamer, then the operation that ends
# the log-in.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
goligoli=${GOLIGOLI:-$root/target/debug/goligoli}

venv=$(../venv.sh api requirements.txt)

data=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
base=http://127.0.0.1:$port
export GOLIGOLI_DATA_DIR=$data GOLIGOLI_HTTP__LISTEN=127.0.0.1:$port GOLIGOLI_OPS__ENABLED=false \
    GOLIGOLI_GATEWAY__LIMITS__EXEMPT='["127.0.0.0/8"]' \
    GOLIGOLI_USER__WRONG_PASSWORDS=1000
"$goligoli" serve 2>"$data/log" &
server=$!
trap 'kill $server; wait $server || true; rm -rf "$data"' EXIT
for _ in $(seq 100); do
    python3 - "$base" <<'PY' && break || sleep 0.1
import sys, urllib.request
urllib.request.urlopen(sys.argv[1] + "/readyz", timeout=2)
PY
done 2>/dev/null

eval "$("$goligoli" seed --accounts 2 --prefix fuzz- 2>/dev/null | python3 prepare.py "$base")"

against() { # the API; with the options given
    "$venv/bin/schemathesis" --config-file schemathesis.toml run "$base/api/v1/openapi.json" \
        --phases examples,coverage,fuzzing "$@"
}

against
against -H "Authorization: Bearer $TOKEN" --exclude-operation-id log_out
against -H "Authorization: Bearer $TOKEN" --include-operation-id log_out

# No 5xx means no failure that was only logged, either.
if grep -E ' ERROR ' "$data/log"; then
    echo "the server logged errors" >&2
    exit 1
fi
