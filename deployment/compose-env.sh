#!/usr/bin/env bash
# Writes the secrets that docker-compose.yaml asks for into .env beside it, once: they are kept in
# the servers' volumes too, so an existing file is never overwritten. Keep it with your backups.
#
# goligoli makes its keys itself: the binary that SITE_BIN names, or else the image, which is
# built if need be.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -e .env ] && { echo ".env is there already; it stays as it is" >&2; exit 0; }
random_hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; } # BYTES

if [ -n "${SITE_BIN:-}" ]; then
    keys=$("$SITE_BIN" keys)
else
    docker build -t goligoli -f deployment/Dockerfile . >&2
    keys=$(docker run --rm --network none goligoli keys)
fi

umask 077
whole=$(mktemp .env.XXXXXX)
trap 'rm -f "$whole"' EXIT
{
    echo "# Secrets of docker-compose.yaml, made by deployment/compose-env.sh."
    for name in MARIADB_PASSWORD MARIADB_ROOT_PASSWORD REDIS_PASSWORD S3_ACCESS_KEY S3_SECRET_KEY GRAFANA_PASSWORD; do
        echo "$name=$(random_hex 16)"
    done
    echo "$keys"
} >"$whole"
# A link fails if another run was faster; a rename would replace its file.
ln "$whole" .env
echo "wrote .env" >&2
