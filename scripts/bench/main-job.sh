#!/usr/bin/env bash
# The main job, as a new user has it: a fresh clone, then `cvops repro`, for several seeds.
# Prints wall and CPU seconds (medians over the seeds) and the mean test accuracy.
#   SEEDS="1 2 3"   seeds (default)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
walls=() cpus=() accuracies=()
for seed in ${SEEDS:-1 2 3}; do
  cd "$(clone "seed-$seed")"
  set_param train.seed "$seed"
  measure 1 "$bin" repro
  accuracies+=("$(accuracy reports/metrics.json)")
  walls+=("$wall") cpus+=("$cpu")
  say "seed $seed: $(seconds "$wall") wall, $(seconds "$cpu") CPU, accuracy ${accuracies[-1]}"
  cd "$scratch" && chmod -R u+w "seed-$seed" && rm -rf "seed-$seed"
done
statistic() { python3 -c 'import statistics, sys; print(getattr(statistics, sys.argv[1])(map(float, sys.argv[2:])))' "$@"; }
row "main job on the committed data, after the build: wall" "$(seconds "$(statistic median "${walls[@]}")")" "< 4 min on 2 cores"
row "main job: CPU" "$(seconds "$(statistic median "${cpus[@]}")")" "recorded"
row "main job: test accuracy, mean of ${#accuracies[@]} seeds" \
  "$(printf '%.4f' "$(statistic mean "${accuracies[@]}")") (${accuracies[*]})" "≥ 0.84"
