#!/usr/bin/env bash
# What logging, searching and keeping runs costs: `cvops ui` and, with PYTHON, the real MLflow server,
# one after the other, by tracking/measure.py (raw sockets; 1, 8 connections; 1,000 and 10,000 runs of
# 20 metrics and 20 params). Then, for cvops alone, 64 writers at once, and the queries at 100,000 runs.
#   PYTHON=venv/bin/python   a Python with `pip install mlflow`: measures MLflow too (minutes)
#   SECONDS_EACH=5           length of each round of logging
#   RUNS=1000,10000          sizes of the searched experiments
#   LARGE=100000             size of the last one; 0 leaves it out
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
here=$repo/scripts/bench/tracking
port=${PORT:-5096}
mkdir "$scratch/project"
cd "$scratch/project"
git init --quiet
"$bin" -q init
measure_server() { # LABEL URL ARGS...
  say "== $1"
  "${PYTHON:-python3}" "$here/measure.py" "$2" --seconds "${SECONDS_EACH:-5}" "${@:3}"
}
client=()
[ -n "${PYTHON:-}" ] || client=(--skip-client)
measure_server cvops "http://127.0.0.1:$port" --runs "${RUNS:-1000,10000}" "${client[@]}" \
  --start "$bin ui --port $port"
if [ -n "${PYTHON:-}" ]; then
  mkdir "$scratch/mlflow"
  measure_server MLflow "http://127.0.0.1:$((port + 1))" --runs "${RUNS:-1000,10000}" --skip-client \
    --mlflow-sqlite "$scratch/mlflow/mlflow.db" \
    --start "$(dirname "$PYTHON")/mlflow server --port $((port + 1)) --backend-store-uri sqlite:///$scratch/mlflow/mlflow.db --artifacts-destination $scratch/mlflow/artifacts"
fi
say "== 64 writers"
python3 "$here/writers.py" "$bin" "$((port + 2))" 64 "${SECONDS_EACH:-5}"
if [ "${LARGE:-100000}" != 0 ]; then
  measure_server "cvops, ${LARGE:-100000} runs" "http://127.0.0.1:$((port + 3))" --skip-client \
    --runs "${LARGE:-100000}" --start "$bin ui --port $((port + 3))"
fi
