#!/usr/bin/env bash
# Publishes what the examples' machines are booted with: the kernel and the init of this installation.
set -euo pipefail

bunny kernel push localhost:5000/kernel:6.12
bunny urunit push localhost:5000/urunit:1
