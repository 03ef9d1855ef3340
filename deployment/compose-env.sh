#!/usr/bin/env bash
# Writes the secrets that docker-compose.yaml asks for into .env beside it, once: they are kept in
# the servers' volumes too, so an existing file is never overwritten. Keep it with your backups.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -e .env ] && { echo ".env is there already; it stays as it is" >&2; exit 0; }
random_hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; } # BYTES

umask 077
whole=$(mktemp .env.XXXXXX)
trap 'rm -f "$whole"' EXIT
{
    echo "# Secrets of docker-compose.yaml, made by deployment/compose-env.sh."
    for name in MARIADB_PASSWORD MARIADB_ROOT_PASSWORD REDIS_PASSWORD S3_ACCESS_KEY S3_SECRET_KEY GRAFANA_PASSWORD; do
        echo "$name=$(random_hex 16)"
    done
    deployment/keys.sh
} >"$whole"
# A link fails if another run was faster; a rename would replace its file.
ln "$whole" .env
echo "wrote .env" >&2
