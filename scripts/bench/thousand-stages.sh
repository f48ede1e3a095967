#!/usr/bin/env bash
# A pipeline of STAGES (default 1000) stages of `cp`, in chains of ten, each with a parameter of its
# own: the first repro, then `status` and `repro` when nothing changed. DVC runs the same pipeline
# beside it when `dvc` is on PATH (or DVC is set); its lock and cache are then written directly,
# because its own first repro rewrites the whole lock once per stage.
#   STAGES=1000 RUNS=20 DVC_RUNS=1 FIRST_S_MAX=1800
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
n=${STAGES:-1000}

# generate FILE: the pipeline, its parameters and its inputs, in the current folder
generate() {
  python3 - "$n" "$1" <<'PY'
import sys
n, name = int(sys.argv[1]), sys.argv[2]
with open("params.yaml", "w") as params, open(name, "w") as pipeline:
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

mkdir "$scratch/cvops" && cd "$scratch/cvops"
git init --quiet .
generate pipeline.yaml
began=$SECONDS
timeout "${FIRST_S_MAX:-1800}" "$bin" repro >/dev/null 2>"$scratch/err" ||
  die "the first repro failed: $(tail -n 3 "$scratch/err")"
row "$n stages, first repro (\`cp\`): wall" "$((SECONDS - began)) s" "recorded"
for i in 0 $((n / 2)) $((n - 1)); do
  [ "$(cat "o$i.txt")" = "$((i / 10 * 10))" ] || die "o$i.txt is wrong"
done
measure "${RUNS:-20}" "$bin" status
row "$n stages, nothing changed: CPU of \`status\`" "$(ms "$cpu")" "< 50 ms"
row "$n stages, nothing changed: wall of \`status\`" "$(ms "$wall")" "recorded"
measure "${RUNS:-20}" "$bin" repro
row "$n stages, nothing changed: CPU of \`repro\`" "$(ms "$cpu")" "< 50 ms"
row "$n stages, nothing changed: wall of \`repro\`" "$(ms "$wall")" "recorded"
ours=$cpu

dvc=${DVC:-dvc}
if command -v "$dvc" >/dev/null; then
  mkdir "$scratch/dvc" "$scratch/home" && cd "$scratch/dvc"
  export HOME=$scratch/home DVC_NO_ANALYTICS=1 DVC_SITE_CACHE_DIR=$scratch/site
  git init --quiet . && "$dvc" init --quiet
  generate dvc.yaml
  python3 - "$n" <<'PY'
import hashlib, os, shutil, sys
n = int(sys.argv[1])
with open("dvc.lock", "w") as lock:
    lock.write("schema: '2.0'\nstages:\n")
    for i in range(n):
        source, out = (f"o{i - 1}.txt" if i % 10 else f"in{i}.txt"), f"o{i}.txt"
        shutil.copyfile(source, out)
        data = open(source, "rb").read()
        digest = hashlib.md5(data).hexdigest()
        cached = f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}"
        os.makedirs(os.path.dirname(cached), exist_ok=True)
        if not os.path.exists(cached):
            shutil.copyfile(source, cached)
            os.chmod(cached, 0o444)
        entry = f"hash: md5\n      md5: {digest}\n      size: {len(data)}"
        lock.write(f"  s{i}:\n    cmd: cp {source} {out}\n    deps:\n    - path: {source}\n      {entry}\n"
                   f"    params:\n      params.yaml:\n        p{i}: {i}\n    outs:\n    - path: {out}\n      {entry}\n")
PY
  for command in status repro; do
    measure "${DVC_RUNS:-1}" "$dvc" "$command"
    row "the same, $("$dvc" --version): CPU of \`$command\`" "$(seconds "$cpu")" "peer"
  done
  row "DVC's CPU over ours, \`repro\`" "$(awk -v a="$cpu" -v b="$ours" 'BEGIN { printf "%.0f times", a / b }')" "recorded"
else
  say "dvc is not on PATH: no comparison"
fi
