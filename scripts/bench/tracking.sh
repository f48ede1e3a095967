#!/usr/bin/env bash
# What recording a run costs a `cvops repro`, and how quickly thousands of runs are listed. The same
# one-stage repro with a new param each time, with and without `--no-track`.
#   RUNS=40        repros of each kind (default)
#   RECORDED=5000  runs in the listed record: 30 params, 40 metrics, 3 stages, 6 outputs each
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
mkdir "$scratch/tracking" && cd "$scratch/tracking"
cat > pipeline.yaml <<'YAML'
stages:
  train:
    cmd: cp params.yaml model.bin; echo '{"accuracy":0.5}' > metrics.json; printf '{"epoch":1,"loss":1}\n{"epoch":2,"loss":0.5}\n' > curve.jsonl
    params: [lr]
    outs: [model.bin]
    metrics: [metrics.json: {cache: false}]
    plots: [curve.jsonl: {cache: false}]
YAML
echo 'lr: 1' > params.yaml; "$bin" repro -q # creates the record: not measured
# A new param before each repro, so that its stage runs.
changed='echo "lr: $(date +%s%N)" > params.yaml; exec "$@"'
measure "${RUNS:-40}" bash -c "$changed" - "$bin" repro -q --no-track
without_wall=$wall without_cpu=$cpu
measure "${RUNS:-40}" bash -c "$changed" - "$bin" repro -q
less() { awk -v a="$1" -v b="$2" 'BEGIN { print a - b }'; }
row "recording one run: wall, on top of $(ms "$without_wall")" "$(ms "$(less "$wall" "$without_wall")")" "< 5 ms"
row "recording one run: CPU, on top of $(ms "$without_cpu")" "$(ms "$(less "$cpu" "$without_cpu")")" "recorded"
if command -v strace >/dev/null; then
  strace -f -e trace=openat,stat,newfstatat,access -o "$scratch/trace" "$bin" repro -q
  row "repro that does nothing: looks at the record (strace)" "$(grep -c tracking.db "$scratch/trace" || true)" "0"
fi
python3 - .cvops/tracking.db "${RECORDED:-5000}" <<'PY'
import random, sqlite3, sys, uuid
db = sqlite3.connect(sys.argv[1])
for i in range(int(sys.argv[2])):
    started = 1_700_000_000_000 + i * 1000
    run = db.execute(
        "INSERT INTO runs (id, experiment, name, status, started_ms, ended_ms, command, targets)"
        " VALUES (?, 0, ?, 'FINISHED', ?, ?, 'cvops repro', '[]')",
        (uuid.uuid4().hex, f"run-{i}", started, started + 500)).lastrowid
    db.executemany("INSERT INTO params (run, name, file, key, value, typed) VALUES (?1, ?2, 'params.yaml', ?2, ?3, 1)",
                   [(run, f"train.p{k:02}", str(random.randrange(3)) if k < 3 else "1") for k in range(30)])
    for k in range(40):
        name = f"m{k}" if k < 5 else f"per_class.m{k}"
        metric = db.execute("INSERT INTO metrics (run, experiment, name, file, key, value, step, at_ms)"
                            " VALUES (?1, 0, ?2, 'm.json', ?2, ?3, 0, 0)", (run, name, random.random())).lastrowid
        db.execute("INSERT INTO points (metric, at_ms, step, is_number, value) VALUES (?, 0, 0, 1, 0.5)", (metric,))
    db.executemany("INSERT INTO stages (run, name, place, outcome, took_ms) VALUES (?, ?, ?, 'ran', 1000)",
                   [(run, name, i) for i, name in enumerate(["preprocess", "train", "evaluate"])])
    db.executemany("INSERT INTO artifacts VALUES (?, ?, ?, 1, NULL, 'train')", [(run, f"out{k}", "a" * 64) for k in range(6)])
db.commit()
PY
for args in "list" "list --sort m1" "list --all" "show run-77"; do
  # shellcheck disable=SC2086
  measure 10 "$bin" runs $args
  row "${RECORDED:-5000} runs: \`cvops runs $args\`, wall" "$(ms "$wall")" "recorded"
done
