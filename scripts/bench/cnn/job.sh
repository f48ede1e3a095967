#!/usr/bin/env bash
# The whole job on the committed pictures: decode, train `cnn35` and judge it, by `cvops repro` in a
# fresh clone (whose other work, data card, plots, page and record of the run, is in its time) and by
# a Keras program (job_keras.py), in turn. Wall and CPU time and peak memory are medians over the
# seeds, from the start of the process; accuracy is the mean.
#   VENV=target/peers/cnn   Python with tensorflow-cpu; ../cnn.sh says how to make it
#   BIN=target/release/cvops
#   EPOCHS=8 SEEDS="1 2 3" CHANNELS=3   (defaults)
#   THREADS=…               of Keras (default: all cores, which is what cvops takes)
#   KERAS_ALONE=1           only the Keras side
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/whole.sh"
need_keras
[ -n "${KERAS_ALONE:-}" ] || need_bin
machine
epochs=${EPOCHS:-8} channels=${CHANNELS:-3}
theirs=() ours=()
for seed in ${SEEDS:-1 2 3}; do
  keras "$repo/data/fashion5k" "$epochs" "$seed" "$channels"
  theirs+=("$share")
  say "seed $seed, Keras: $(last keras), accuracy $share"
  [ -z "${KERAS_ALONE:-}" ] || continue
  cd "$(clone "seed-$seed")"
  params "$epochs" "$seed" "$channels" >params.yaml
  whole cvops "$bin" repro
  ours+=("$(accuracy reports/metrics.json)")
  say "seed $seed, cvops: $(last cvops), accuracy ${ours[-1]}"
  cd "$scratch" && chmod -R u+w "seed-$seed" && rm -rf "seed-$seed"
done
[ -z "${KERAS_ALONE:-}" ] || exit 0
echo "| the whole job, $epochs epochs on fashion5k | Keras | cvops | times |"
echo "|---|---|---|---|"
compare "CPU" cpu_s s
compare "wall, $threads threads" wall_s s
compare "peak memory" peak_mib MiB
printf '| test accuracy, mean of %s seeds | %.4f (%s) | %.4f (%s) | |\n' "${#ours[@]}" \
  "$(statistic mean "${theirs[@]}")" "${theirs[*]}" "$(statistic mean "${ours[@]}")" "${ours[*]}"
