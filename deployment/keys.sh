#!/usr/bin/env bash
# Prints new keys for one site whose services run apart, as lines of an environment file: what all
# instances must have alike, and what instances of one service must. docker-compose.yaml and
# native/site.sh hand each to the services that need it, and to no other.
set -euo pipefail

random_hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; } # BYTES

# Signs access tokens: an Ed25519 key as its 32 secret bytes. The services that only verify get
# its public half.
seed=$(random_hex 32)
command -v openssl >/dev/null || { echo "keys.sh needs openssl (on Debian: apt-get install openssl)" >&2; exit 1; }
# shellcheck disable=SC2001 # Each pair of digits, which no ${…//} can keep.
public=$(printf '%b' "$(sed 's/../\\x&/g' <<<"302e020100300506032b657004220420$seed")" \
    | openssl pkey -inform DER -pubout -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \n')

cat <<END
AUTH_SIGNING_KEY=$seed
AUTH_VERIFYING_KEY=$public
RPC_SECRET=$(random_hex 32)
MESSAGE_SENDER_KEY=$(random_hex 32)
LOTTERY_SEED_KEY=$(random_hex 32)
LOTTERY_RECEIPT_KEY=$(random_hex 32)
END
