#!/usr/bin/env bash
# What `cvops metrics diff` costs: HEAD against the workspace, in a fresh clone of this repository
# whose metrics differ from the committed ones. git's own start-up is measured beside it.
#   RUNS=50     runs (default)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
cd "$(clone metrics-diff)"
python3 - <<'PY'
import json
path = "reports/metrics.json"
metrics = json.load(open(path))
metrics["accuracy"] += 0.01
metrics["log_loss"] += 0.01
json.dump(metrics, open(path, "w"), indent=2)
PY
measure 3 "$bin" metrics diff # warm
measure "${RUNS:-50}" "$bin" metrics diff
grep -q accuracy "$scratch/out" || die "no difference was seen"
row "\`cvops metrics diff\`, HEAD against the workspace: wall" "$(ms "$wall")" "< 30 ms"
row "\`cvops metrics diff\`, HEAD against the workspace: CPU, git included" "$(ms "$cpu")" "recorded"
measure "${RUNS:-50}" "$bin" params diff
row "\`cvops params diff\`, HEAD against the workspace: wall" "$(ms "$wall")" "< 30 ms"
measure "${RUNS:-50}" git --version
row "\`git --version\`, for comparison: wall" "$(ms "$wall")" ""
# 50 files of 40 values each, as in the peer's figure.
mkdir many && cd many && git init --quiet
python3 - <<'PY'
import json
files = [f"m{i}.json" for i in range(50)]
for i, name in enumerate(files):
    json.dump({f"k{j}": i + j / 7 for j in range(40)}, open(name, "w"))
open("pipeline.yaml", "w").write("stages: {a: {cmd: 'true'}}\nmetrics: " + json.dumps(files) + "\n")
PY
git add -A && git -c user.name=b -c user.email=b@example.org commit --quiet -m start
sed -i 's/: \([0-9]\)/: 1\1/g' m*.json
measure "${RUNS:-50}" "$bin" metrics diff
row "\`cvops metrics diff\`, 50 files of 40 values: wall" "$(ms "$wall")" "recorded"
row "\`cvops metrics diff\`, 50 files of 40 values: CPU" "$(ms "$cpu")" "recorded (DVC 3.67: 940 ms)"
