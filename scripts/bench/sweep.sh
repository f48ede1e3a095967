#!/usr/bin/env bash
# A sweep of 12 trials over two train parameters of the example: its wall time against the sum of
# the stages that the trials ran, and whether `preprocess` was restored in every trial. Then the same
# kind of sweep over cheap shell stages, killed with SIGKILL at random moments and resumed: no
# finished trial may run again, and the best one must be that of an undisturbed sweep.
#   EPOCHS=2          epochs of each training
#   KILLS=20 SEED=1   kills, and the seed of their moments; KILLS=0: only the first part
#   TRIALS=0          only the second part
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine

trials() {
  cd "$(clone example)"
  set_param train.epochs "${EPOCHS:-2}"
  "$bin" repro preprocess >/dev/null 2>&1 || die "preprocess failed"
  measure 1 "$bin" params sweep train.learning_rate=0.002,0.004,0.006,0.01 train.batch_size=32,64,128 \
    --metric reports/metrics.json:accuracy --name bench --json
  python3 - "$scratch/out" "$wall" <<'PY'
import json, sys
done = [json.loads(line) for line in open(sys.argv[1])][-1]
wall, trials = float(sys.argv[2]), done["trials"]
assert len(trials) == 12 and all(t["status"] == "finished" for t in trials), "not all 12 trials finished"
restored = sum("preprocess" in t["restored"] for t in trials)
train = sum(t["ran"]["train"] for t in trials)
stages = sum(sum(t["ran"].values()) for t in trials)
print(f"| sweep of 12 trials, 2 parameters: wall against the sum of the stages run | {wall:.1f} s against {stages:.1f} s: {100 * (wall / stages - 1):+.1f} % | within 5 % |")
print(f"| the same against the trainings alone | {train:.1f} s: {100 * (wall / train - 1):+.1f} % | recorded |")
print(f"| `preprocess` restored | {restored} of 12 trials | 12 |")
PY
}

small() {
  mkdir "$1" && cd "$1" && git init --quiet .
  printf 'a: 1\nb: 1\n' >params.yaml
  seq 2000 >data.txt
  cat >pipeline.yaml <<'YAML'
stages:
  prepare:
    cmd: sort -r data.txt > prepared.txt && echo prepare >> "$RUNS"
    deps: [data.txt]
    outs: [prepared.txt]
  train:
    cmd: |-
      a=$(sed -n 's/^a: //p' params.yaml); b=$(sed -n 's/^b: //p' params.yaml)
      sleep 0.05; echo "train $a $b" >> "$RUNS"
      awk -v a="$a" -v b="$b" 'BEGIN { printf "{\"score\": %d}\n", 100 - (a - 3) ^ 2 - (b - 2) ^ 2 }' > metrics.json
    deps: [prepared.txt]
    params: [a, b]
    metrics: [metrics.json: {cache: false}]
YAML
}

kills() {
  local spec=(a=1,2,3,4 b=1,2,3 --metric metrics.json:score --name s -j 2 --json)
  export RUNS=$scratch/runs
  small "$scratch/undisturbed"
  measure 1 "$bin" params sweep "${spec[@]}"
  local length=$wall good=0 bad=()
  RANDOM=${SEED:-1}
  for ((i = 1; i <= ${KILLS:-20}; i++)); do
    : >"$RUNS"
    small "$scratch/k$i"
    moment=$(awk -v r="$((RANDOM * 32768 + RANDOM))" -v s="$length" 'BEGIN { printf "%.4f", r / 1073741824 * s }')
    python3 - "$moment" "$bin" params sweep "${spec[@]}" <<'PY' || true
import os, signal, subprocess, sys
child = subprocess.Popen(sys.argv[2:], start_new_session=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    child.wait(float(sys.argv[1]))
except subprocess.TimeoutExpired:
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
PY
    "$bin" params sweep status s --json >"$scratch/before" 2>/dev/null || echo '{"trials": []}' >"$scratch/before"
    why=
    if [ -e .cvops/sweeps/s/journal.jsonl ] && [ "$(wc -l <.cvops/sweeps/s/journal.jsonl)" -gt 0 ]; then
      "$bin" params sweep --resume --name s --json >"$scratch/after" 2>"$scratch/err" || why="resume: exit $?: $(tail -n 2 "$scratch/err")"
    else
      "$bin" params sweep "${spec[@]}" >"$scratch/after" 2>"$scratch/err" || why="again: exit $?: $(tail -n 2 "$scratch/err")"
    fi
    [ -n "$why" ] || why=$(python3 - "$scratch/before" "$scratch/after" "$scratch/out" "$RUNS" <<'PY'
import collections, json, sys
before = json.load(open(sys.argv[1]))
after, right = ([json.loads(line) for line in open(p)][-1] for p in sys.argv[2:4])
runs = collections.Counter(line.strip() for line in open(sys.argv[4]))
if [t["status"] for t in after["trials"]] != ["finished"] * 12:
    print("not all trials finished")
elif after["best"] != right["best"]:
    print(f"best is trial {after['best']}, not {right['best']}")
for trial in before["trials"]:
    name = "train {a} {b}".format(**trial["params"])
    if trial["status"] == "finished" and runs[name] != 1:
        print(f"trial {trial['trial']} ran {runs[name]} times")
PY
)
    if [ -z "$why" ]; then good=$((good + 1)); else bad+=("$i"); say "round $i, killed at $moment s: $why"; fi
    cd "$scratch" && chmod -R u+w "k$i" && rm -rf "k$i"
  done
  row "sweep killed with -9 at $((i - 1)) random moments, then \`--resume\`: no finished trial repeated, same best" \
    "$good of $((i - 1))" "all"
  [ "${#bad[@]}" -eq 0 ] || die "${#bad[@]} round(s) went wrong"
}

[ "${TRIALS:-12}" = 0 ] || trials
[ "${KILLS:-20}" = 0 ] || kills
