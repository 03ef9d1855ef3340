#!/usr/bin/env bash
# Runs a command with the cluster's servers, on a native stack of its own (target/native-NAME) that
# is ended afterwards, also when the command fails.
#
#   on_stack.sh NAME COMMAND…
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
shift

tests/need.sh rust protoc go mariadb redis etcd nginx
export NATIVE_DIR=$PWD/target/native-$name
stack=deployment/native/stack.sh
trap '$stack down' EXIT
$stack up
native=$($stack env)
eval "$native"
export NATIVE_REQUIRED=1
"$@"
