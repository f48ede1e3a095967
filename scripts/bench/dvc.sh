#!/usr/bin/env bash
# cvops and DVC on the same DVC repositories, one after the other: CPU seconds (user + system,
# children included) by medians, and how many times more DVC needs. Both write DVC's own formats, so
# each case is set up once and measured with both; data is generated and removed.
#   DVC=target/peers/dvc/bin/dvc   the DVC to compare with (default: that one, else `dvc` on PATH)
#   BIN=target/release/cvops       the cvops
#   RUNS=5 DVC_RUNS=1              runs of each, where a case can be repeated
#   CASES="start noop first sleep small big sync metrics"   which cases (default: all)
#   STAGES="100 1000"              sizes of the pipelines of `noop`; 10000 is measured with cvops alone
#   FILES=20000 BIG_MIB=2048       sizes of `small` and `sync`, and of `big`
#   FULL=1                         DVC also where it needs minutes: 1,000 stages, a first run of 200
#   MILLION=1                      `add` of 1,000,000 files with cvops alone: wall time and memory
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
dvc=${DVC:-$repo/target/peers/dvc/bin/dvc}
[ -x "$dvc" ] || dvc=$(command -v dvc) || die "no DVC; set DVC, or run \`.ci/run test\`, which installs one"
runs=${RUNS:-5} dvc_runs=${DVC_RUNS:-1} files=${FILES:-20000} big=${BIG_MIB:-2048}
cases=" ${CASES:-start noop first sleep small big sync metrics} "
export HOME=$scratch/home DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR=$scratch/site
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=b GIT_AUTHOR_EMAIL=b@example.org GIT_COMMITTER_NAME=b GIT_COMMITTER_EMAIL=b@example.org
mkdir -p "$HOME/.config/dvc"
printf '[core]\n    analytics = false\n    check_update = false\n' >"$HOME/.config/dvc/config"
# aside PATH...: out of the way, and removed at the end only: ext4 looks through all inodes that were
# freed in the last minutes before it takes another one, which costs a run that creates 20,000 files
# five to fifteen seconds if the files of the run before were just removed.
aside() {
  local to
  to=$(mktemp -d "$scratch/aside.XXXXXX")
  for path in "$@"; do [ ! -e "$path" ] || mv "$path" "$to/"; done
}
# A figure of one tool alone, in the table of both.
row() { printf '| %s | | | %s | | %s |\n' "$1" "$2" "$3"; }
say "$("$bin" --version), DVC $("$dvc" --version)"

has() { case $cases in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
# repository NAME: a new DVC repository in git, and cd into it
repository() {
  mkdir "$scratch/$1" && cd "$scratch/$1"
  git init --quiet . && "$dvc" init --quiet
}
save() { git add -A && git commit --quiet --message s; }

# pair WHAT BAR PREPARE ARG...: a row with both tools' CPU. PREPARE (a command, or `:`) runs before
# each run; the last runs leave things as the next case wants to find them.
pair() {
  local what=$1 bar=$2 prepare=$3 theirs ours ours_wall
  shift 3
  repeat "$dvc_runs" "$prepare" "$dvc" "$@"; theirs=$cpu
  repeat "$runs" "$prepare" "$bin" "$@"; ours=$cpu ours_wall=$wall
  compare "$what" "$theirs" "$ours" "$ours_wall" "$bar"
}
# alone WHAT BAR PREPARE ARG...: the same without DVC
alone() {
  local what=$1 bar=$2 prepare=$3
  shift 3
  repeat "$runs" "$prepare" "$bin" "$@"
  printf '| %s | – | %.3f | %.3f | – | %s |\n' "$what" "$cpu" "$wall" "$bar"
}
compare() {
  printf '| %s | %.2f | %.3f | %.3f | %s | %s |\n' "$1" "$2" "$3" "$4" \
    "$(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.0f×", a / (b > 0.0005 ? b : 0.0005) }')" "$5"
}
# repeat RUNS PREPARE CMD...: medians of wall and cpu, with PREPARE before each run
repeat() {
  local n=$1 prepare=$2 walls="" cpus=""
  shift 2
  if [ "$prepare" = : ]; then measure "$n" "$@"; return; fi
  for ((i = 0; i < n; i++)); do
    "$prepare" >/dev/null 2>&1
    measure 1 "$@"
    walls+="$wall " cpus+="$cpu "
  done
  wall=$(median $walls) cpu=$(median $cpus)
}
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

printf '| what | DVC, CPU s | cvops, CPU s | cvops, wall s | DVC over cvops | bar |\n|---|---|---|---|---|---|\n'

if has start; then
  repository start
  pair '`--version`' '≤ 0.01 s' : --version
  pair '`status` of an empty project' '≤ 0.01 s' : status
fi

# chains N: N stages of `cp` in chains of ten, each with a parameter of its own
chains() {
  python3 - "$1" <<'PY'
import sys
n = int(sys.argv[1])
with open("params.yaml", "w") as params, open("dvc.yaml", "w") as pipeline:
    pipeline.write("stages:\n")
    for i in range(n):
        params.write(f"p{i}: {i}\n")
        source = f"o{i - 1}.txt" if i % 10 else f"in{i}.txt"
        if not i % 10:
            open(source, "w").write(f"{i}\n")
        pipeline.write(f"  s{i}:\n    cmd: cp {source} o{i}.txt\n    deps: [{source}]\n"
                       f"    params: [p{i}]\n    outs: [o{i}.txt]\n")
PY
}

if has noop; then
  for n in ${STAGES:-100 1000}; do
    repository "noop$n"; chains "$n"
    "$bin" repro --quiet >/dev/null 2>"$scratch/err" || die "repro: $(tail -n 3 "$scratch/err")"
    save
    [ "$n" = 100 ] && bar='≤ 0.02 s' || bar='≤ 0.05 s'
    if [ "$n" -le 100 ] || { [ "$n" -le 1000 ] && [ -n "${FULL:-}" ]; }; then which=pair; else which=alone; fi
    $which "\`status\`, $n stages, nothing changed" "$bar" : status
    $which "\`repro\`, $n stages, nothing changed" "$bar" : repro
  done
  repository noop10000; chains 10000
  "$bin" repro --quiet >/dev/null 2>"$scratch/err" || die "repro: $(tail -n 3 "$scratch/err")"
  alone '`status`, 10,000 stages, nothing changed' 'within 12× of 1,000' : status
  alone '`repro`, 10,000 stages, nothing changed' 'within 12× of 1,000' : repro
fi

fresh_start() { aside .dvc/cache .dvc/tmp .cvops dvc.lock o*.txt .gitignore "$DVC_SITE_CACHE_DIR"; }
if has first; then
  repository first
  python3 - <<'PY'
with open("dvc.yaml", "w") as f:
    f.write("stages:\n")
    for i in range(200):
        f.write(f"  s{i}:\n    cmd: cp in.txt o{i}.txt\n    deps: [in.txt]\n    outs: [o{i}.txt]\n")
PY
  echo 1 >in.txt
  if [ -n "${FULL:-}" ]; then which=pair; else which=alone; fi
  $which 'first `repro`, 200 independent stages of `cp`, children included' '≤ 1.2 s' fresh_start repro
  cat >bare.sh <<'SH'
for i in $(seq 0 199); do sh -c "cp in.txt o$i.txt"; done
SH
  measure "$runs" sh bare.sh
  row '200 × `sh -c cp` by a shell loop, for comparison: CPU' "$(ms "$cpu")" ''
fi
if has sleep; then
  repository sleep
  python3 - <<'PY'
with open("dvc.yaml", "w") as f:
    f.write("stages:\n")
    for i in range(8):
        f.write(f"  s{i}:\n    cmd: sleep 1 && cp in.txt o{i}.txt\n    deps: [in.txt]\n    outs: [o{i}.txt]\n")
PY
  echo 1 >in.txt
  repeat 1 fresh_start "$dvc" repro; theirs=$wall
  repeat "$dvc_runs" fresh_start "$bin" repro -j 8
  row '8 × `sleep 1`, `-j 8`: wall' "$(seconds "$wall") (DVC, one after the other: $(seconds "$theirs"))" '≤ 1.1 s'
fi

# small: FILES files of 4 KiB in folders of a thousand
small() {
  python3 - "$1" <<'PY'
import os, sys
n, blob = int(sys.argv[1]), os.urandom(1 << 20)
for i in range(n):
    if i % 1000 == 0:
        os.makedirs(f"d/{i // 1000:04d}")
    with open(f"d/{i // 1000:04d}/{i:07d}.bin", "wb") as f:
        f.write(i.to_bytes(8, "little") + blob[(i * 37) % 1000000:][:4088])
PY
}
forget_all() { aside .dvc/cache .dvc/tmp .cvops d.dvc .gitignore "$DVC_SITE_CACHE_DIR"; }
change_one() { date +%s%N >d/0000/0000001.bin; }
take_away() { aside d; }
if has small || has sync; then
  repository small; small "$files"
  if has small; then
    pair "\`add\`, $files files of 4 KiB, first" '≤ 1.5 s' forget_all add d
    pair '… nothing changed' '≤ 0.1 s' : add d
    pair '… one changed' '≤ 0.12 s' change_one add d
    "$dvc" config cache.type hardlink
    pair "\`checkout\`, $files files, by hard links" '≤ 0.5 s' take_away checkout
    pair '… nothing to do' '≤ 0.08 s' : checkout
    "$dvc" config --unset cache.type
    pair "\`checkout\`, $files files, by reflink or copy" 'recorded' take_away checkout
  else
    "$bin" add d >/dev/null 2>&1
  fi
  if has sync; then
    "$dvc" remote add --quiet --default far "$scratch/far"
    empty_remote() { aside "$scratch/far" .dvc/tmp .cvops/tmp "$DVC_SITE_CACHE_DIR"; }
    empty_cache() { aside .dvc/cache; }
    pair "\`push\`, $files files, to a folder" '≤ 2 s' empty_remote push
    pair '… nothing to do' '≤ 0.1 s' : push
    pair "\`fetch\`, $files files, from a folder" '≤ 2 s' empty_cache fetch
    pair '… nothing to do' '≤ 0.1 s' : fetch
  fi
  cd "$scratch" && chmod -R u+w small && rm -rf small far
fi
if [ -n "${MILLION:-}" ]; then
  repository million; small 1000000
  /usr/bin/time -f '%e %M' -o "$scratch/time" "$bin" add d >/dev/null 2>&1 || die "add of 1,000,000 files failed"
  row '`add`, 1,000,000 files of 4 KiB: wall, peak memory' "$(awk '{ printf "%.0f s, %.0f MiB", $1, $2 / 1024 }' "$scratch/time")" 'linear, ≤ 200 MiB'
  /usr/bin/time -f '%e %M' -o "$scratch/time" "$bin" add d >/dev/null 2>&1 || die "the second add failed"
  row '… nothing changed: wall, peak memory' "$(awk '{ printf "%.1f s, %.0f MiB", $1, $2 / 1024 }' "$scratch/time")" 'linear, ≤ 200 MiB'
  cd "$scratch" && chmod -R u+w million && rm -rf million
fi

if has big; then
  repository big
  head -c "$((big * 1048576))" /dev/urandom >big.bin
  forget_big() { rm -rf .dvc/cache .dvc/tmp .cvops big.bin.dvc .gitignore "$DVC_SITE_CACHE_DIR"; cat big.bin; }
  pair "\`add\`, one file of $big MiB, first" '≤ 1.1× one md5 pass' forget_big add big.bin
  pair '… nothing changed' '≤ 0.01 s' : add big.bin
  measure 3 md5sum big.bin
  row "\`md5sum\`, $big MiB, for comparison: CPU, wall" "$(seconds "$cpu"), $(seconds "$wall")" ''
  measure 3 cp --reflink=never big.bin copy.bin
  row "\`cp\`, $big MiB, for comparison: CPU, wall" "$(seconds "$cpu"), $(seconds "$wall")" ''
  # The same in a cvops project, where content is named by BLAKE3.
  mkdir native && cd native && git init --quiet . && "$bin" init >/dev/null 2>&1
  mv ../big.bin . && rm -f ../copy.bin
  forget_native() { rm -rf .cvops/cache .cvops/state.db* big.bin.cvops; cat big.bin; }
  alone "\`add\`, one file of $big MiB, first, in a cvops project" 'within 1.3× of reading it' forget_native add big.bin
  alone '… nothing changed' '≤ 0.01 s' : add big.bin
  measure 3 sh -c 'cat big.bin >/dev/null'
  row "\`cat\`, $big MiB, for comparison: CPU, wall" "$(seconds "$cpu"), $(seconds "$wall")" ''
  cd "$scratch" && chmod -R u+w big && rm -rf big
fi

if has metrics; then
  repository metrics
  python3 - <<'PY'
import json
files = [f"m{i}.json" for i in range(50)]
for i, name in enumerate(files):
    json.dump({f"k{j}": i + j / 7 for j in range(40)}, open(name, "w"))
open("dvc.yaml", "w").write("metrics:\n" + "".join(f"  - {name}\n" for name in files) + "params:\n  - params.yaml\n")
open("params.yaml", "w").write("".join(f"k{i}:\n  x: {i}\n  y: [1, 2]\n" for i in range(200)))
PY
  save
  sed -i 's/: \([0-9]\)/: 1\1/g' m*.json
  sed -i 's/x: 7$/x: 8/' params.yaml
  pair '`metrics diff`, 50 files × 40 values' '≤ 0.02 s' : metrics diff
  pair '`params diff`, 600 values' 'recorded' : params diff
fi
