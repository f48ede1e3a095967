# shellcheck shell=bash
# What the bench scripts share: where the program is, a scratch folder, one measurement, one row.
# Sourced, not run. Needs bash and python3 (standard library).
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repo/target}
case $CARGO_TARGET_DIR in /*) ;; *) CARGO_TARGET_DIR=$repo/$CARGO_TARGET_DIR ;; esac
bin=${BIN:-$CARGO_TARGET_DIR/release/cvops}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/cvops-bench.XXXXXX")
trap 'chmod -R u+w "$scratch" 2>/dev/null || true; rm -rf "$scratch"' EXIT
export NO_COLOR=1 LC_ALL=C
unset "${!CVOPS_@}"

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# row WHAT FIGURE BAR: one line of the table in docs/benchmarks.md
row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3"; }

# machine: what the figures were measured on, to be pasted above them
machine() {
  local cpu memory
  cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | sed -n 1p) || true
  memory=$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo 2>/dev/null) || true
  say "machine: $(nproc) cores, ${cpu:-unknown CPU}, ${memory:-unknown memory}, $(uname -sr), $(rustc --version 2>/dev/null || echo 'no rustc'), $(date -u +%F)"
}

need_bin() { [ -x "$bin" ] || die "no program at $bin; run \`cargo build --release\` or set BIN"; }

# clone: a fresh clone of the committed repository in $scratch/NAME; prints its path
clone() {
  git clone --quiet --no-hardlinks "$repo" "$scratch/$1"
  printf '%s\n' "$scratch/$1"
}

# measure RUNS CMD...: runs CMD that many times, output to $scratch/out, stderr to $scratch/err, and
# sets wall and cpu (medians, seconds; cpu is user + system, children included). Fails as CMD fails.
measure() {
  local answer
  answer=$(python3 - "$scratch" "$@" <<'PY'
import os, resource, statistics, subprocess, sys, time
scratch, runs, cmd = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
walls, cpus = [], []
for _ in range(runs):
    with open(f"{scratch}/out", "wb") as out, open(f"{scratch}/err", "wb") as err:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        code = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=out, stderr=err).returncode
        walls.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    if code != 0:
        sys.stderr.write(open(f"{scratch}/err", errors="replace").read()[-4000:])
        sys.exit(f"exit {code}: {' '.join(cmd)}")
print(f"{statistics.median(walls):.6f} {statistics.median(cpus):.6f}")
PY
  ) || die "the measured command failed: ${*:2}"
  wall=${answer% *} cpu=${answer#* }
}

ms() { awk -v s="$1" 'BEGIN { printf "%.1f ms", s * 1000 }'; }
seconds() { awk -v s="$1" 'BEGIN { printf "%.1f s", s }'; }

# accuracy FILE: the test accuracy in a metrics file, wherever it stands in it
accuracy() {
  python3 - "$1" <<'PY'
import json, sys
def find(value):
    if isinstance(value, dict):
        found = value.get("accuracy")
        if isinstance(found, (int, float)):
            return found
        if isinstance(found, dict) and isinstance(found.get("value"), (int, float)):
            return found["value"]
        for inner in value.values():
            if (hit := find(inner)) is not None:
                return hit
found = find(json.load(open(sys.argv[1])))
sys.exit("no accuracy in it") if found is None else print(found)
PY
}

# set_param KEY VALUE: replaces one scalar of params.yaml, keeping every other byte
set_param() { param "$1" "$2"; }
# get_param KEY: prints one scalar of params.yaml
get_param() { param "$1"; }
param() {
  python3 - "$@" <<'PY'
import re, sys
keys, path = sys.argv[1].split("."), []
lines = open("params.yaml").read().split("\n")
for i, line in enumerate(lines):
    match = re.match(r"^( *)([\w-]+): *([^#]*?)( +#.*)?$", line)
    if not match:
        continue
    while path and len(match[1]) <= path[-1][0]:
        path.pop()
    path.append((len(match[1]), match[2]))
    if [key for _, key in path] != keys:
        continue
    if len(sys.argv) == 2:
        print(match[3])
    else:
        lines[i] = f"{match[1]}{match[2]}: {sys.argv[2]}{match[4] or ''}"
        open("params.yaml", "w").write("\n".join(lines))
    sys.exit(0)
sys.exit(f"params.yaml has no key {sys.argv[1]}")
PY
}
