#!/usr/bin/env bash
# Drives `cvops ui` with the real MLflow client of both lines: the newest 3.x and 2.22.x. Installs each
# into a virtual environment below target/peers/ (about 1 GB each) unless it is there. `.ci/run` checks
# the 3.x client alone, as a test.
#   BIN=target/release/cvops   the program
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${BIN:-${CARGO_TARGET_DIR:-$root/target}/release/cvops}
[ -x "$bin" ] || { echo "no program at $bin; run \`cargo build --release\` or set BIN" >&2; exit 1; }
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT
port=${PORT:-5098}

client() { # LINE PACKAGES...
  local venv=$root/target/peers/mlflow-$1
  if ! "$venv/bin/python" -c 'import mlflow' 2>/dev/null; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "${@:2}" matplotlib pillow
  fi
  mkdir "$scratch/$1"
  (cd "$scratch/$1" && "$bin" -q init && exec "$bin" ui --port "$port") 2>"$scratch/$1.log" &
  server=$!
  for _ in $(seq 100); do
    curl -sf -o /dev/null "http://127.0.0.1:$port/health" && break
    sleep 0.05
  done
  printf '%s: ' "$("$venv/bin/mlflow" --version)"
  HOME=$scratch/$1 "$venv/bin/python" "$root/tests/golden/mlflow/client_check.py" "http://127.0.0.1:$port" 2>"$scratch/$1.client" |
    grep -E "^FAIL|passed," || { cat "$scratch/$1.client" >&2; exit 1; }
  kill "$server"; wait "$server" || true
  server=
}
client 3 'mlflow>=3,<4'
client 2.22 'mlflow==2.22.*' 'sqlalchemy<2.1'
