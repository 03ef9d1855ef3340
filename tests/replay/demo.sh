#!/usr/bin/env bash
# Plays each Bilibili XML file in REAL_DANMAKU as a broadcast of the demo and holds the files of
# its replay against the programs that people read them with. GOLIGOLI may name the binary.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

shopt -s nullglob
real=("${REAL_DANMAKU:?names the folder of the files}"/*.xml)
[ ${#real[@]} -gt 0 ] || { echo "there are no XML files in $REAL_DANMAKU" >&2; exit 1; }
goligoli=${GOLIGOLI:-$root/target/release/goligoli}
venv=$(../venv.sh replay requirements.txt)

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
out=$(mktemp -d)
server=
stop() { [ -z "$server" ] || { kill "$server" && wait "$server" || true; server=; }; }
trap 'stop; rm -rf "$out"' EXIT

for file in "${real[@]}"; do
    name=$(basename "$file" .xml)
    folder=$out/$name
    mkdir "$folder"
    GOLIGOLI_DATA_DIR=$out/data-$name GOLIGOLI_HTTP__LISTEN=127.0.0.1:$port GOLIGOLI_OPS__ENABLED=false \
        "$goligoli" demo --file "$file" --speed 200 --broadcasts 1 --watchers 0 >"$folder/log" 2>&1 &
    server=$!
    "$venv/bin/python" demo.py "http://127.0.0.1:$port" "$file" "$folder" || { tail "$folder/log" >&2; exit 1; }
    stop
    "$venv/bin/python" formats.py "$venv/bin" "$folder"
done
