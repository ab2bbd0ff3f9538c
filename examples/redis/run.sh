#!/usr/bin/env bash
# redis as a virtual machine: the files of redis:alpine are its root.
set -euo pipefail
cd "$(dirname "$0")"

bunny build --tag localhost:5000/redis-vm:1 --load .

id=$(docker run --detach --runtime urunc localhost:5000/redis-vm:1)
trap 'docker rm --force "$id" >/dev/null' EXIT
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$id")
echo "redis is at $address"

# It listens a moment after its start.
ask() { exec 3<>"/dev/tcp/$address/6379" && printf 'PING\r\n' >&3 && head -n 1 <&3; }
for _ in {1..300}; do
  if answer=$(ask 2>/dev/null) && [ -n "$answer" ]; then
    echo "PING: $answer"
    docker exec "$id" redis-cli info server | grep '^os:'
    exit
  fi
  sleep 0.1
done
echo "redis does not answer" >&2
exit 1
