#!/usr/bin/env bash
# What can be checked of deployment/ without a container engine: scripts, the compose file, the
# ingress, dashboard and alerts. A check whose program is not here is named as skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
has() { command -v "$1" >/dev/null || { echo "skipped: $2; there is no $1" >&2; return 1; }; }

if has shellcheck "shell scripts"; then
    shellcheck -x deployment/*.sh deployment/container/* deployment/native/*.sh tests/all.sh tests/deployment.sh
fi

echo "ingress: nginx reads its configuration"
cp deployment/ingress/nginx.conf deployment/ingress/compose/*.conf "$scratch"
# The names of containers mean nothing here.
sed -i -E 's/(push|gateway)-([12]):/127.0.0.\2:/' "$scratch"/{push,gateways}.conf
nginx -t -q -p "$scratch" -c "$scratch/nginx.conf"

echo "dashboard: JSON, and each panel asks for something"
python3 - <<'END'
import json
panels = json.load(open("deployment/grafana/goligoli.json"))["panels"]
assert all(p["type"] == "row" or all(t["expr"] for t in p["targets"]) for p in panels)
assert len({p["id"] for p in panels}) == len(panels)
END

if has promtool "alerts"; then
    (cd deployment/prometheus && promtool check config prometheus.yaml && promtool test rules alerts.test.yaml)
fi

echo "keys: an Ed25519 pair, and secrets of 32 bytes"
deployment/keys.sh >"$scratch/keys"
[ "$(grep -Ec '^[A-Z_]+=[0-9a-f]{64}$' "$scratch/keys")" = "$(wc -l <"$scratch/keys")" ]

if docker compose version >/dev/null 2>&1; then
    echo "compose: the file is whole, and refuses to run without secrets"
    { sed 's/=.*/=x/' "$scratch/keys"; printf '%s=x\n' MARIADB_PASSWORD MARIADB_ROOT_PASSWORD REDIS_PASSWORD \
        S3_ACCESS_KEY S3_SECRET_KEY GRAFANA_PASSWORD; } >"$scratch/env"
    docker compose --env-file "$scratch/env" --profile monitoring config -q
    if docker compose --env-file /dev/null config -q 2>/dev/null; then
        echo "docker-compose.yaml takes no secrets at all" >&2
        exit 1
    fi
else
    echo "skipped: docker-compose.yaml; there is no docker compose" >&2
fi
