#!/usr/bin/env bash
# Kills a `cvops repro` with SIGKILL, its whole process group, at N random moments; after each kill
# `repro` must end right: exit 0, every output as in an undisturbed run, `cache verify` clean, and
# nothing left to do. Moments are drawn over the whole length of an undisturbed run, from SEED.
#   N=50 SEED=1         kills, and the seed of their moments
#   PROJECT=small       a generated pipeline of shell stages (default): chain, fan, folders, slow
#                       writers whose half-written output must never count; one run takes a second
#   PROJECT=vision      a clone of this repository, with EPOCHS (default 2) epochs
#   VERB=repro          what is killed: `repro`, or one of the verbs over data: `add` (a folder that
#                       changes each round), `push` (to an empty folder), `pull` (with an empty cache),
#                       `gc` (of what earlier rounds left). Then the same verb must end right, with
#                       `cache verify` clean and the data what it was
#   FRESH=1             start each round from an empty cache and no outputs (default); 0: keep cache,
#                       lock and outputs and change a parameter instead, so that old and new state
#                       meet; only the run cache is emptied, or there would be nothing to run
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
kills=${N:-50}

small() {
  mkdir "$scratch/small" && cd "$scratch/small" && git init --quiet .
  mkdir data
  for i in 1 2 3 4 5 6; do seq "$i" $((2000 * i)) >"data/$i.txt"; done
  echo 'salt: 1' >params.yaml
  # Slow writers: half of the output, a pause, the other half. A partial file must never count.
  cat >pipeline.yaml <<'YAML'
stages:
  split:
    cmd: mkdir -p parts && for i in 1 2 3 4 5 6; do sort -r data/$i.txt > parts/$i.txt; sleep 0.02; done
    deps: [data]
    outs: [parts]
  left:
    cmd: head -n 500 parts/1.txt > left.txt && sleep 0.1 && cat params.yaml parts/2.txt >> left.txt
    deps: [parts]
    params: [salt]
    outs: [left.txt]
  right:
    cmd: head -n 500 parts/3.txt > right.txt && sleep 0.1 && cat params.yaml parts/4.txt >> right.txt
    deps: [parts]
    params: [salt]
    outs: [right.txt]
  tree:
    cmd: mkdir -p tree/a/b && for i in $(seq 40); do cat left.txt > tree/a/b/$i; echo $i >> tree/a/b/$i; done
    deps: [left.txt]
    outs: [tree]
  count:
    cmd: wc -l < right.txt > count.txt && sleep 0.05 && find tree -type f | wc -l >> count.txt
    deps: [right.txt, tree]
    outs: [count.txt]
YAML
  outs=(parts left.txt right.txt tree count.txt)
}

vision() {
  cd "$(clone vision)"
  set_param train.epochs "${EPOCHS:-2}"
  outs=(data/prepared models reports/metrics.json)
}

# digest: one hash over names and bytes of all outputs
digest() { find "${outs[@]}" -type f ! -name .gitignore -print0 | sort -z | xargs -0 sha256sum | sha256sum; }
# wipe: as after a clone
wipe() { rm -rf "${outs[@]}" .cvops/cache .cvops/runs .cvops/state.db* .cvops/tmp pipeline.lock; }

# The verbs over data have a project and a way to judge of their own.
verb=${VERB:-repro}
if [ "$verb" != repro ]; then
  mkdir "$scratch/data" "$scratch/far" && cd "$scratch/data" && git init --quiet . && "$bin" init >"$scratch/out"
  files() { local i; mkdir -p raw/{a,b,c}; for i in $(seq 300); do echo "$1 $((i % 7 ? i : $1 * i))" >"raw/$(printf 'abc' | cut -c $((i % 3 + 1)))/$i"; done; }
  data() { find raw -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; }
  "$bin" remote add --default far "$scratch/far" >"$scratch/out" 2>&1
  files 0 && "$bin" add raw >"$scratch/out" 2>&1 && "$bin" push >"$scratch/out"
  RANDOM=${SEED:-1} good=0 landed=0 bad=() length=${LENGTH:-}
  prepare() {
    case $verb in
      add) files "$1" ;;
      push) rm -rf "$scratch/far" ;;
      pull) rm -rf .cvops/cache raw ;;
      gc) files "$1" && "$bin" add raw >"$scratch/out" 2>&1 && files 0 && "$bin" add raw >"$scratch/out" 2>&1 ;;
      *) die "VERB is repro, add, push, pull or gc" ;;
    esac
  }
  args=("$verb")
  case $verb in add) args+=(raw) ;; gc) args+=(-w -f) ;; esac
  prepare 1
  measure 1 "$bin" "${args[@]}"
  length=$wall
  say "undisturbed: $(seconds "$length"); now $kills kills"
  for ((i = 1; i <= kills; i++)); do
    "$bin" push >"$scratch/out" 2>&1
    prepare $((i + 1))
    [ "$verb" = pull ] || right=$(data)
    [ "$verb" != pull ] || right=${right:-$("$bin" pull >"$scratch/out" 2>&1; data; rm -rf .cvops/cache raw)}
    moment=$(awk -v r="$((RANDOM * 32768 + RANDOM))" -v s="$length" 'BEGIN { printf "%.4f", r / 1073741824 * s }')
    status=0
    timeout --signal=KILL "$moment" "$bin" "${args[@]}" >"$scratch/out" 2>&1 || status=$?
    [ "$status" -ne 137 ] || landed=$((landed + 1))
    why=
    "$bin" cache verify >"$scratch/out" 2>&1 || why="cache verify after the kill: $(tail -n 2 "$scratch/out" | tr '\n' ' ')"
    [ -n "$why" ] || "$bin" "${args[@]}" >"$scratch/out" 2>&1 || why="$verb: exit $?: $(tail -n 2 "$scratch/out" | tr '\n' ' ')"
    [ -n "$why" ] || [ "$(data)" = "$right" ] || why="the data differ"
    [ -n "$why" ] || "$bin" cache verify >"$scratch/out" 2>&1 || why="cache verify: $(tail -n 2 "$scratch/out" | tr '\n' ' ')"
    if [ -z "$why" ] && [ "$verb" = push ]; then
      [ "$("$bin" status -c --json)" = '{}' ] || why="the remote lacks something"
    fi
    if [ -z "$why" ]; then good=$((good + 1)); else
      bad+=("$i at $moment s: $why")
      say "round $i, killed at $moment s: $why"
    fi
  done
  row "\`kill -9\` at $kills random moments of \`$verb\` ($landed before the end), then \`$verb\`" \
    "$good of $kills right" "$kills of $kills"
  [ "${#bad[@]}" -eq 0 ] || die "${#bad[@]} round(s) went wrong"
  exit 0
fi

case ${PROJECT:-small} in
  small) small; key=salt ;;
  vision) vision; key=train.seed ;;
  *) die "PROJECT is small or vision" ;;
esac
first=$(get_param "$key")

# What each value of the parameter must give, undisturbed, and how long it takes.
declare -A right
for value in "$first" $((first + 1)); do
  wipe; set_param "$key" "$value"
  measure 1 "$bin" repro -j 2
  right[$value]=$(digest)
  length=$wall
done
set_param "$key" "$first"
[ "${right[$first]}" != "${right[$((first + 1))]}" ] || die "$key changes nothing; the test would be blind"
say "undisturbed: $(seconds "$length"); now $kills kills"

RANDOM=${SEED:-1}
good=0 landed=0 bad=()
for ((i = 1; i <= kills; i++)); do
  value=$first
  if [ "${FRESH:-1}" = 1 ]; then wipe; else
    value=$((first + i % 2))
    rm -rf .cvops/runs
  fi
  set_param "$key" "$value"
  moment=$(awk -v r="$((RANDOM * 32768 + RANDOM))" -v s="$length" 'BEGIN { printf "%.4f", r / 1073741824 * s }')
  # A session of its own, so that one signal reaches cvops and every stage. Stages have process
  # groups of their own: those are found as descendants first and killed with it.
  if python3 - "$moment" "$bin" repro -j 2 <<'PY'
import os, signal, subprocess, sys
moment, cmd = float(sys.argv[1]), sys.argv[2:]
child = subprocess.Popen(cmd, start_new_session=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    child.wait(moment)
    sys.exit(3)  # ended before the moment came
except subprocess.TimeoutExpired:
    pass
def session(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rpartition(")")[2].split()[3])
child.send_signal(signal.SIGSTOP)  # so that it starts nothing while its stages are looked for
for _ in range(3):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(pid) != child.pid and session(pid) == child.pid:
                os.kill(int(pid), signal.SIGKILL)
        except (OSError, ValueError, IndexError):
            pass
try:
    os.killpg(child.pid, signal.SIGKILL)
except ProcessLookupError:
    pass
child.wait()
PY
  then landed=$((landed + 1)); fi
  why=
  "$bin" repro -j 2 >"$scratch/out" 2>"$scratch/err" || why="repro: exit $?: $(tail -n 2 "$scratch/err" | tr '\n' ' ')"
  [ -n "$why" ] || [ "$(digest)" = "${right[$value]}" ] || why="outputs differ from the undisturbed run"
  [ -n "$why" ] || "$bin" cache verify >"$scratch/out" 2>&1 || why="cache verify: $(tail -n 2 "$scratch/out" | tr '\n' ' ')"
  if [ -z "$why" ]; then
    cp pipeline.lock "$scratch/lock"
    "$bin" repro -j 2 >"$scratch/out" 2>&1 || why="second repro failed"
    cmp -s pipeline.lock "$scratch/lock" || why="second repro changed the lock"
  fi
  if [ -z "$why" ]; then good=$((good + 1)); else
    bad+=("$i at $moment s: $why")
    say "round $i, killed at $moment s: $why"
  fi
done
row "\`kill -9\` at $kills random moments (${PROJECT:-small}, fresh=${FRESH:-1}; $landed before the end), then \`repro\`" \
  "$good of $kills right" "$kills of $kills"
[ "${#bad[@]}" -eq 0 ] || die "${#bad[@]} round(s) went wrong"
