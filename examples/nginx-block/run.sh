#!/usr/bin/env bash
# nginx as a virtual machine whose root is one file, an ext4 file system, in an image with nothing else but its kernel.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
id=
trap '[ -z "$id" ] || docker rm --force "$id" >/dev/null; rm -r "$work"' EXIT

# The file alone, to look at it: it takes neither root nor a mount.
bunny build --output "block:$work/rootfs.ext4" .
dumpe2fs -h "$work/rootfs.ext4" 2>/dev/null | grep -E '^(Filesystem state|Block count|Free blocks):'
debugfs -R 'cat /usr/share/nginx/html/index.html' "$work/rootfs.ext4" 2>/dev/null

# The image: what a runtime is told by it. The bunnyfile asks for Firecracker; QEMU runs it.
bunny build --tag localhost:5000/nginx-block-vm:1 --load .
bunny inspect --config localhost:5000/nginx-block-vm:1 | grep -o '"com\.urunc\.unikernel\.[^,}]*'

id=$(docker run --detach --runtime urunc localhost:5000/nginx-block-vm:1)
address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$id")
echo "nginx is at $address"
curl --silent --show-error --fail --retry 60 --retry-all-errors --retry-delay 1 "http://$address/"
