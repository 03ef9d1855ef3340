#!/usr/bin/env bash
# Holds both verifiers of draws against each other: `agree.sh` in CI, `agree.sh --all` for
# every byte. GOLIGOLI names the program; it has to be an optimised one, or a million entries
# take a while.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
goligoli=${GOLIGOLI:-$root/target/release/goligoli}

venv=$(../venv.sh draw requirements.txt)

"$venv/bin/python" -m unittest -q test_verify_draw
"$venv/bin/python" agree.py "$goligoli" "$@"
