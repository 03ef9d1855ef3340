#!/usr/bin/env bash
# Holds the files of replays against the programs that people read them with. REAL_DANMAKU may
# name a folder of Bilibili XML files, which are then imported and written as well.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

venv=$(../venv.sh replay requirements.txt)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

shopt -s nullglob
real=(${REAL_DANMAKU:+"$REAL_DANMAKU"/*.xml})
if [ -n "${REAL_DANMAKU:-}" ] && [ ${#real[@]} = 0 ]; then
    echo "there are no XML files in $REAL_DANMAKU" >&2
    exit 1
fi
# As the workspace's tests have built it; otherwise it is built here.
program=$root/target/debug/examples/replay-formats
[ -x "$program" ] || (cd "$root" && cargo build --quiet --locked -p goligoli-message --example replay-formats)
"$program" "$out" "${real[@]}"
"$venv/bin/python" formats.py "$venv/bin" "$out"/*/
