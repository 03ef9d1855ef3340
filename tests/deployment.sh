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
    shellcheck -x deployment/*.sh deployment/container/* deployment/native/*.sh tests/*.sh tests/compare/apart.sh
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

# shellcheck disable=SC2016 # Compose's variables, not the shell's.
# The secrets that the compose file asks for; it has no default for any.
asked=$(grep -o '\${[A-Z0-9_]*:?' docker-compose.yaml | tr -d '${:?' | sort -u)
if docker compose version >/dev/null 2>&1; then
    echo "compose: the file is whole, and refuses to run without secrets"
    for name in $asked; do echo "$name=x"; done >"$scratch/env"
    docker compose --env-file "$scratch/env" --profile monitoring config -q
    if docker compose --env-file /dev/null config -q 2>/dev/null; then
        echo "docker-compose.yaml takes no secrets at all" >&2
        exit 1
    fi
else
    echo "skipped: docker-compose.yaml; there is no docker compose" >&2
fi

# SITE_BIN: a built goligoli.
if [ -n "${SITE_BIN:-}" ]; then
    echo "keys: goligoli makes all that the compose file asks for"
    "$SITE_BIN" keys | sed -n 's/^\(GOLIGOLI_[A-Z_]*\)=.*/\1/p' | sort >"$scratch/made"
    comm -23 <(grep ^GOLIGOLI_ <<<"$asked" | sort) "$scratch/made" >"$scratch/missing"
    if [ -s "$scratch/missing" ]; then
        echo "docker-compose.yaml asks for keys that \`goligoli keys\` does not make: $(tr '\n' ' ' <"$scratch/missing")" >&2
        exit 1
    fi
fi
