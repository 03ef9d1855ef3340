#!/usr/bin/env bash
# Posts, entries and fan-out in one process, and then in a site of twelve on the real servers behind
# the ingress: the same load by the same client on the same machine, one after the other. All share
# its cores; so what counts are the ratios.
#
# Run it by tests/on_stack.sh, as `make bench-apart` does.
set -euo pipefail
cd "$(dirname "$0")/../.."

for topology in alone apart; do
    export TOPOLOGY=$topology
    printf '\n== %s: posts\n' "$topology"
    target/release/bench-post
    printf '\n== %s: entries\n' "$topology"
    target/release/bench-lottery 15 64 0
    printf '\n== %s: fan-out\n' "$topology"
    target/release/bench-fanout run goligoli --viewers 2000 --events-per-s 10
done
