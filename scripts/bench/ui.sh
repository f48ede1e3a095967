#!/usr/bin/env bash
# How heavy and how fast the web UI is, seen by a headless Chromium: bytes of a first load, first paint
# with many runs, a metric of a million points, scrolling 100,000 runs, a page left open on a live run.
#   BROWSER=chromium         a Chromium
#   MLFLOW=venv/bin/mlflow   loads the first page of MLflow's UI too
#   RUNS=10000 MANY=100000 POINTS=1000000   sizes
#   UPDATES=3600             points that come while the page of a live run is open
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
browser=$(command -v "${BROWSER:-chromium}") || die "no Chromium; set BROWSER"
here=$repo/scripts/bench/ui
port=${PORT:-5196}
measure_pages() { # WHAT PROJECT ARGS...
  python3 "$here/measure.py" "$browser" "$1" "$2" "$bin" "$port" "${@:3}"
}
# A project with something on every page: the repository's own, trained once.
project=$(clone project)
(cd "$project" && "$bin" -q repro && "$bin" -q models register classifier --alias champion) || die "the repro failed: $project"
measure_pages weight "$project"
if [ -n "${MLFLOW:-}" ]; then
  python3 "$here/measure.py" "$browser" mlflow "$scratch" "$MLFLOW" "$((port + 1))"
fi
for count in "${RUNS:-10000}" "${MANY:-100000}"; do
  mkdir "$scratch/runs-$count"
  (cd "$scratch/runs-$count" && git init --quiet && "$bin" -q init)
  measure_pages runs "$scratch/runs-$count" "$count"
done
mkdir "$scratch/long"
(cd "$scratch/long" && git init --quiet && "$bin" -q init)
measure_pages points "$scratch/long" "${POINTS:-1000000}"
measure_pages live "$scratch/long" "${UPDATES:-3600}"
