#!/usr/bin/env bash
# venv.sh NAME REQUIREMENTS: makes target/venv-NAME with what the file lists, if it does not
# have that already, and prints where it is.
set -euo pipefail
venv=$(cd "$(dirname "$0")/.." && pwd)/target/venv-$1
if ! cmp -s "$2" "$venv/installed"; then
    {
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    } >&2
    cp "$2" "$venv/installed"
fi
printf '%s\n' "$venv"
