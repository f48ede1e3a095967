# shellcheck shell=bash
# What job.sh and fashion_mnist.sh share: the Python of the peers, one measured run, the parameters of
# cvops's side. Sourced after lib.sh.
here=$repo/scripts/bench/cnn
venv=${VENV:-$repo/target/peers/cnn}
python=$venv/bin/python
threads=${THREADS:-$(nproc)}
export PYTHONDONTWRITEBYTECODE=1

need_keras() { [ -x "$python" ] || die "no Python at $python; ../cnn.sh says how to make it"; }

# whole SIDE CMD...: runs CMD once; its output to $scratch/out, and what it took to $scratch/SIDE,
# one line of JSON for each run
whole() {
  local side=$1
  shift
  python3 "$here/usage.py" "$scratch/$side" "$@" >"$scratch/out" 2>"$scratch/err" \
    || die "failed: $*: $(tail -n 20 "$scratch/err")"
}

# keras DATA EPOCHS SEED CHANNELS: one run of job_keras.py; sets its accuracy as $share
keras() {
  whole keras "$python" "$here/job_keras.py" "$1" "$2" "$threads" "$3" "$4"
  grep '^{' "$scratch/out" >"$scratch/keras.json"
  share=$(accuracy "$scratch/keras.json")
}

# params EPOCHS SEED CHANNELS: params.yaml of the same training: all of the training pictures, the
# network `cnn35`, Adam at 0.001, no augmentation
params() {
  cat <<YAML
preprocess: {size: 35, channels: $3, val: 0}
model: {preset: cnn35}
train: {epochs: $1, batch_size: 64, optimiser: adam, learning_rate: 0.001, seed: $2}
evaluate: {split: test}
YAML
}

# statistic NAME VALUE...: median, mean, stdev of the values
statistic() { python3 -c 'import statistics, sys; print(getattr(statistics, sys.argv[1])(map(float, sys.argv[2:])))' "$@"; }
# taken SIDE KEY: the median over all runs of that side
taken() {
  python3 - "$scratch/$1" "$2" <<'PY'
import json, statistics, sys
print(statistics.median(json.loads(line)[sys.argv[2]] for line in open(sys.argv[1])))
PY
}
# last SIDE: the latest run, for people
last() { tail -n 1 "$scratch/$1" | tr -d '{}"'; }
# compare WHAT KEY UNIT: a row with both sides' medians and how many times more Keras needs
compare() {
  local theirs ours
  theirs=$(taken keras "$2") ours=$(taken cvops "$2")
  printf '| %s | %s %s | %s %s | %s |\n' "$1" "$theirs" "$3" "$ours" "$3" \
    "$(awk -v t="$theirs" -v o="$ours" 'BEGIN { printf "%.2f", t / o }')"
}
