#!/usr/bin/env bash
# A small HTTP service as a virtual machine whose root is an initrd: all of it is in the machine's memory.
set -euo pipefail
cd "$(dirname "$0")"

bunny build --tag localhost:5000/whoami-vm:1 --load .

id=$(docker run --detach --runtime urunc --hostname whoami localhost:5000/whoami-vm:1)
trap 'docker rm --force "$id" >/dev/null' EXIT
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$id")
echo "whoami is at $address"
curl --silent --show-error --fail --retry 60 --retry-all-errors --retry-delay 1 "http://$address/"
