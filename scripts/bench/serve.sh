#!/usr/bin/env bash
# What a prediction costs: `cvops serve` under the load of serving/run.sh (a 96x96 PNG of 21 kB, the
# network of serving/app.py), its start, its idle memory, 64 connections for a minute, and overload.
# Needs wrk and curl. The first part trains that network for one epoch (a minute; not measured).
#   PYTHON=venv/bin/python   also measures FastAPI + onnxruntime (packages: see serving/README.md)
#   DURATION=8s ROUNDS=3     length and number of the rounds
#   SOAK=60s                 length of the 64-connection and overload rounds
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
command -v wrk >/dev/null || die "wrk is not installed"
here=$repo/scripts/bench/serving
port=${PORT:-5097} url=http://127.0.0.1:${PORT:-5097}
cd "$(clone serve)"
cat >params.yaml <<'YAML'
preprocess: {size: 35, channels: 3, val: 0.1, seed: 42}
model:
  blocks:
    - {filters: 32, padding: same}
    - {filters: 32, padding: same, pool: max}
    - {filters: 64, padding: same}
    - {filters: 64, padding: same, pool: max}
  head: {dense: [128]}
train: {epochs: 1, batch_size: 64, seed: 42}
evaluate: {split: test}
YAML
say "training the network of the peer for one epoch, not measured"
measure 1 "$bin" repro train

ticks() { awk '{sub(/.*\) /,""); print $12+$13}' "/proc/$1/stat"; }
rss() { awk '/^VmRSS/{printf "%.0f MiB", $2/1024}' "/proc/$1/status"; }
start() {
  "$bin" serve --port "$port" --model models/classifier "$@" >"$scratch/serve.log" 2>&1 &
  server=$!
  trap 'kill "$server" 2>/dev/null || true; chmod -R u+w "$scratch" 2>/dev/null || true; rm -rf "$scratch"' EXIT
  until curl -sf -o /dev/null "$url/health/ready"; do
    kill -0 "$server" 2>/dev/null || die "the server ended: $(cat "$scratch/serve.log")"
    sleep 0.005
  done
}
stop() { kill -TERM "$server"; wait "$server" 2>/dev/null || true; }
# wrk_round CONNECTIONS DURATION [SCRIPT]: sets the figures of post.lua's RESULT line as variables
wrk_round() {
  local q
  for q in $(wrk -t1 -c"$1" -d"$2" --timeout 10s -s "${3:-$here/post.lua}" "$url/predict" -- multipart "$here/sample.png" | grep '^RESULT'); do
    case $q in *=*) printf -v "${q%%=*}" %s "${q#*=}" ;; esac
  done
}

start
curl -sf -o /dev/null -F "file=@$here/sample.png;type=image/png" "$url/predict"
row "start to first prediction: CPU" "$(awk -v t="$(ticks "$server")" -v h="$(getconf CLK_TCK)" 'BEGIN{printf "%.2f s", t/h}')" "< 0.1 s"
stop
start
sleep 1
row "idle memory before the first request (RSS)" "$(rss "$server")" "< 40 MiB"
say "| server | body | connections | req/s | p50 ms | p99 ms | CPU ms/request | errors |"
LABEL=cvops "$here/run.sh" url "$url/predict" multipart "$server"
if [ -n "${PYTHON:-}" ]; then
  MODES=multipart PORT=$((port + 1)) "$here/run.sh" baseline
fi
wrk_round 64 "${SOAK:-60s}"
row "64 connections, ${SOAK:-60s}: requests, errors" "$requests, $((non2xx + sockerr + timeouts))" "0 errors"
capacity=$rps before=$(rss "$server")
# About three times the capacity: 900 connections, each waiting between its requests; the wait is
# that of five times, since the time of each answer comes on top of it.
{
  cat "$here/post.lua"
  printf 'function delay() return %d end\n' "$(awk -v c="$capacity" 'BEGIN { printf "%.0f", 900 * 1000 / (5 * c) }')"
} >"$scratch/paced.lua"
wrk_round 900 "${SOAK:-60s}" "$scratch/paced.lua"
served=$(awk -v n="$requests" -v bad="$non2xx" -v r="$rps" 'BEGIN{printf "%.0f", r*(n-bad)/n}')
row "overload, paced: offered / answered / capacity, req/s" "$rps / $served / $capacity" "goodput kept"
row "the same: p50, p99 of all answers; socket errors, time-outs" "$p50_ms, $p99_ms ms; $sockerr, $timeouts" "0"
row "memory before and after it" "$before, $(rss "$server")" "flat"
before=$(rss "$server")
wrk_round 900 "${SOAK:-60s}"
served=$(awk -v n="$requests" -v bad="$non2xx" -v r="$rps" 'BEGIN{printf "%.0f", r*(n-bad)/n}')
row "flood, 900 connections: offered / answered / capacity, req/s" "$rps / $served / $capacity" "goodput kept"
row "flood: p50, p99 of all answers; socket errors, time-outs" "$p50_ms, $p99_ms ms; $sockerr, $timeouts" "0"
row "memory before and after the flood" "$before, $(rss "$server")" "flat"
stop
