#!/usr/bin/env bash
# The fault tests on a native stack of their own: they end its servers. Test names may be given.
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/need.sh rust protoc go mariadb redis etcd nginx
export NATIVE_DIR=$PWD/target/native-faults
stack=deployment/native/stack.sh
trap '$stack down' EXIT
$stack up
native=$($stack env)
eval "$native"
export NATIVE_REQUIRED=1 TOPOLOGY=apart
cargo test --workspace --features goligoli/failpoints --locked --test command_line --test faults \
    -- --ignored --test-threads=1 --nocapture "$@"
