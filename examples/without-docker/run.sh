#!/usr/bin/env bash
# nginx twice as a virtual machine, without a daemon and without root: the image as it is, and one that is made bootable.
set -euo pipefail
cd "$(dirname "$0")"
trap 'bunny rm --force as-it-is bootable >/dev/null' EXIT
page() { curl --silent --show-error --fail --retry 60 --retry-all-errors --retry-delay 1 "http://$1/"; }

bunny run --detach --name as-it-is --publish 127.0.0.1:8080:80 nginx:alpine nginx -g 'daemon off;'

bunny build --tag nginx-vm:1 .
bunny run --detach --name bootable --publish 127.0.0.1:8081:80 nginx-vm:1

bunny ps
page 127.0.0.1:8080
page 127.0.0.1:8081
bunny logs bootable
bunny stop as-it-is bootable
