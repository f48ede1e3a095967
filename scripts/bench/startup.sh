#!/usr/bin/env bash
# How long `cvops --version` takes, as the median of RUNS processes (default 50).
# Process start and exit are included, and so is this script's own fork.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
measure "${RUNS:-50}" "$bin" --version
row "\`cvops --version\`: wall" "$(ms "$wall")" "< 10 ms"
row "\`cvops --version\`: CPU" "$(ms "$cpu")" "recorded"
