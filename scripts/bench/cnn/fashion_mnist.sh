#!/usr/bin/env bash
# Test accuracy on all of Fashion-MNIST with cvops and with Keras: the same network (`cnn35`, pictures
# fitted to 35x35), the same optimiser, epochs and training pictures (all 60,000), several seeds each.
# Both read the same folders of PNG files, written once. Takes minutes for each epoch.
#   DATA=FOLDER             the four IDX files, gzip or not: Debian's package dataset-fashion-mnist puts
#                           them into /usr/share/datasets/fashion-mnist (default)
#   VENV=target/peers/cnn   Python with tensorflow-cpu; ../cnn.sh says how to make it
#   BIN=target/release/cvops
#   EPOCHS=5 SEEDS="1 2 3" CHANNELS=3   (defaults)
#   SIDES="keras cvops"     who is run (default: both)
#   PICTURES=FOLDER         where the PNG files are, or are written and kept (default: not kept)
#   THREADS=…               of Keras (default: all cores, which is what cvops takes)
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/whole.sh"
sides=" ${SIDES:-keras cvops} "
has() { case $sides in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
! has keras || need_keras
! has cvops || need_bin
machine
data=${DATA:-/usr/share/datasets/fashion-mnist} epochs=${EPOCHS:-5} channels=${CHANNELS:-3}
pictures=${PICTURES:-$scratch/pictures}
[ -d "$pictures" ] || python3 "$here/idx_to_png.py" "$data" "$pictures"
pictures=$(cd "$pictures" && pwd)
mkdir "$scratch/project" && cd "$scratch/project"
if has cvops; then
  params "$epochs" 1 "$channels" >params.yaml
  measure 1 "$bin" preprocess --data "$pictures" --out prepared
  say "cvops preprocess: $(seconds "$wall") wall, $(seconds "$cpu") CPU, not in the figures below"
fi
theirs=() ours=()
for seed in ${SEEDS:-1 2 3}; do
  if has keras; then
    keras "$pictures" "$epochs" "$seed" "$channels"
    theirs+=("$share")
    say "seed $seed, Keras: $(last keras), accuracy $share"
  fi
  if has cvops; then
    params "$epochs" "$seed" "$channels" >params.yaml
    whole cvops "$bin" train --data prepared --out model --history train.jsonl
    measure 1 "$bin" evaluate --data prepared --model model --history train.jsonl \
      --metrics metrics.json --plots plots --page page.html
    ours+=("$(accuracy metrics.json)")
    say "seed $seed, cvops: $(last cvops) (train), accuracy ${ours[-1]}"
  fi
done
describe() {
  printf '%.4f (%s)' "$(statistic mean "$@")" "$*"
}
echo "| Fashion-MNIST, $epochs epochs, $channels channels: test accuracy, mean over the seeds | |"
echo "|---|---|"
! has keras || echo "| Keras | $(describe "${theirs[@]}") |"
! has cvops || echo "| cvops | $(describe "${ours[@]}") |"
if has keras && has cvops; then
  awk -v o="$(statistic mean "${ours[@]}")" -v t="$(statistic mean "${theirs[@]}")" \
    'BEGIN { printf "| cvops - Keras, points | %+.2f |\n", 100 * (o - t) }'
fi
