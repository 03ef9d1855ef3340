#!/usr/bin/env bash
# The README's pictures, taken from a running `goligoli demo`: static/images/*.png
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
if [ -z "${GOLIGOLI:-}" ]; then
    GOLIGOLI=$root/target/release/goligoli
    [ -x "$GOLIGOLI" ] || GOLIGOLI=$root/target/debug/goligoli
fi
[ -x "$GOLIGOLI" ] || { echo "build goligoli first: make build" >&2; exit 1; }
export GOLIGOLI

../need.sh node chromium fonts
npm ci --no-audit --no-fund
FONTCONFIG_FILE=$PWD/fonts.conf exec node screenshots.js "$root/static/images"
