#!/usr/bin/env bash
# Holds the dependencies against the RustSec advisories. ADVISORY_DB names a folder or a
# tar.gz with a snapshot; without it the database is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-audit >/dev/null || cargo install cargo-audit --version 0.22.2 --locked

db=${ADVISORY_DB:-}
if [ -f "$db" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    tar xzf "$db" -C "$folder"
    db=$folder
fi
if [ -n "$db" ]; then
    cargo audit --db "$db" --no-fetch --stale
else
    cargo audit
fi
