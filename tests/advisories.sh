#!/usr/bin/env bash
# Holds the dependencies against the RustSec advisories. ADVISORY_DB names a folder or a
# tar.gz with a snapshot; without it the database is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/need.sh rust cargo-audit

db=${ADVISORY_DB:-}
if [ -f "$db" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    tar xzf "$db" -C "$folder"
    db=$folder
fi
# What tokio-nsq brings. Its last release is of 2023, but it is the client that speaks all of NSQ;
# it is used in plaintext only, behind common::queue.
accepted=(
    RUSTSEC-2023-0052 RUSTSEC-2025-0009 RUSTSEC-2025-0010 RUSTSEC-2024-0336 # TLS, never configured: webpki, ring, rustls
    RUSTSEC-2026-0097 # rand 0.7: unsound only with a logger that calls it again; ours does not
    RUSTSEC-2025-0012 RUSTSEC-2024-0384 # backoff, instant: unmaintained, pauses between reconnects
)
if [ -n "$db" ]; then
    cargo audit --db "$db" --no-fetch --stale "${accepted[@]/#/--ignore=}"
else
    cargo audit "${accepted[@]/#/--ignore=}"
fi
