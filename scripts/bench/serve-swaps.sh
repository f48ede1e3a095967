#!/usr/bin/env bash
# Does a server stay well while its model is exchanged? A load of 80 % of its capacity on
# `models:/classifier@champion` for DURATION, and meanwhile SWAPS times the alias moves between two
# versions that were trained for it. Counts what is not answered with 200, checks that each version
# was really served, and compares the memory before, in the middle and at the end. Needs wrk and curl.
#   DURATION=20m SWAPS=20   CONNECTIONS=64
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
command -v wrk >/dev/null || die "wrk is not installed"
here=$repo/scripts/bench/serving
port=${PORT:-5096} url=http://127.0.0.1:${PORT:-5096}
duration=${DURATION:-20m} swaps=${SWAPS:-20} connections=${CONNECTIONS:-64}
total=$(python3 -c 'import sys; t = sys.argv[1]; print(int(t[:-1]) * {"s": 1, "m": 60}[t[-1]])' "$duration")
cd "$(clone swaps)"

say "training two versions, not measured"
for epochs in 1 2; do
  set_param train.epochs "$epochs"
  measure 1 "$bin" repro train --json
  run=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.read().strip().splitlines()[-1])["run"]["id"])' <"$scratch/out")
  "$bin" models register classifier --run "$run" --path models/classifier >"$scratch/out"
done
"$bin" models alias classifier champion 1 >"$scratch/out"

rss() { awk '/^VmRSS/{print $2}' "/proc/$server/status"; }
version() { curl -sf "$url/model" | python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])'; }
# load CONNECTIONS DURATION SCRIPT: sets the figures of post.lua's RESULT line as variables
load() {
  local q
  for q in $(wrk -t1 -c"$1" -d"$2" --timeout 10s -s "$3" "$url/predict" -- multipart "$here/sample.png" | grep '^RESULT'); do
    case $q in *=*) printf -v "${q%%=*}" %s "${q#*=}" ;; esac
  done
}

"$bin" serve --port "$port" --model models:/classifier@champion >"$scratch/serve.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; chmod -R u+w "$scratch" 2>/dev/null || true; rm -rf "$scratch"' EXIT
until curl -sf -o /dev/null "$url/health/ready"; do
  kill -0 "$server" 2>/dev/null || die "the server ended: $(cat "$scratch/serve.log")"
  sleep 0.05
done

load "$connections" 20s "$here/post.lua"
capacity=$rps
# Each connection waits between its requests, so that together they ask for 80 % of the capacity.
{
  cat "$here/post.lua"
  printf 'function delay() return %d end\n' \
    "$(awk -v c="$capacity" -v n="$connections" -v l="$p50_ms" 'BEGIN { d = n * 1000 / (0.8 * c) - l / 4; printf "%.0f", d < 0 ? 0 : d }')"
} >"$scratch/paced.lua"
load "$connections" 20s "$scratch/paced.lua"
offered=$rps
before=$(rss)

(
  served=1
  for ((i = 0; i < swaps; i++)); do
    sleep "$(awk -v t="$total" -v n="$swaps" 'BEGIN { print t / (n + 1) }')"
    served=$((3 - served))
    "$bin" models alias classifier champion "$served" >/dev/null
    for ((tries = 0; ; tries++)); do
      [ "$(version)" = "$served" ] && break
      ((tries < 100)) || { echo "version $served is not served" >>"$scratch/missed"; break; }
      sleep 0.2
    done
    rss >>"$scratch/memory"
    echo "$served" >>"$scratch/swapped"
  done
) &
swapping=$!
load "$connections" "${total}s" "$scratch/paced.lua"
wait "$swapping"
after=$(rss)

row "load: offered / capacity, req/s" "$offered / $capacity" "80 %"
row "$duration, $swaps swaps: requests; not 200, socket errors, time-outs" "$requests; $non2xx, $sockerr, $timeouts" "0"
row "swaps that were served" "$(wc -l <"$scratch/swapped") of $swaps; $(cat "$scratch/missed" 2>/dev/null || echo 'none missed')" "all"
row "p50, p99 under it" "$p50_ms, $p99_ms ms" "–"
row "memory (RSS): before, after each swap from lowest to highest, at the end" \
  "$(python3 - "$before" "$after" "$scratch/memory" <<'PY'
import sys
before, after = int(sys.argv[1]), int(sys.argv[2])
each = sorted(map(int, open(sys.argv[3])))
half = each[len(each) // 2]
print(f"{before / 1024:.1f}; {each[0] / 1024:.1f} to {each[-1] / 1024:.1f}; {after / 1024:.1f} MiB ({100 * (after / before - 1):+.1f} % of the start, {100 * (after / half - 1):+.1f} % of the middle)")
PY
)" "flat within 5 %"
kill -TERM "$server"; wait "$server" 2>/dev/null || true
