#!/usr/bin/env python3
"""Asks a Prometheus every expression of the dashboard and of the rules, until each has data.

    scripts/ask-dashboard.py http://127.0.0.1:9090 90

An error, or no data after so many seconds, is a failure. Alerts are asked for errors only: that
nothing is wrong is the usual case. Called by check-monitoring.sh; the standard library is enough.
"""

import json
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "deploy/grafana/dashboards/cvops-serving.json"
# What Grafana puts in; the longer name first.
VARIABLES = {"$__rate_interval": "10s", "$instance": ".*", "$model": ".*"}


def get(url, path, **query):
    """Returns the data of an answer, or raises with what Prometheus says is wrong."""
    try:
        with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{query}: {json.load(error).get('error', error)}") from None


def dashboard():
    """Returns (where, expression) of all panels, and of annotations, which may be empty."""
    board = json.loads(DASHBOARD.read_text())
    panels = [
        (f"panel `{panel['title']}` {target['refId']}", target["expr"])
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]
    notes = [(f"annotation `{note['name']}`", note["expr"]) for note in board["annotations"]["list"]]

    def filled(rows):
        for where, expression in rows:
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield where, expression

    return list(filled(panels)), list(filled(notes))


def rules(url):
    """Returns (where, expression) of recording rules and of alerts, as Prometheus has loaded them."""
    loaded = [rule for group in get(url, "/api/v1/rules")["groups"] for rule in group["rules"]]
    recorded = [(f"rule `{r['name']}`", r["name"]) for r in loaded if r["type"] == "recording"]
    alerts = [(f"alert `{r['name']}`", r["query"]) for r in loaded if r["type"] == "alerting"]
    if not recorded or not alerts:
        raise SystemExit("Prometheus has loaded no rules")
    return recorded, alerts


def has_data(result):
    """Is there a number? A ratio of nothing by nothing is none."""
    return any(sample["value"][1] != "NaN" for sample in result)


def main():
    url, seconds = sys.argv[1], float(sys.argv[2])
    panels, notes = dashboard()
    recorded, alerts = rules(url)
    must = panels + recorded
    end = time.monotonic() + seconds
    missing = must
    while missing and time.monotonic() < end:
        missing = [
            (where, expression)
            for where, expression in missing
            if not has_data(get(url, "/api/v1/query", query=expression)["result"])
        ]
        if missing:
            time.sleep(1)
    for where, expression in missing:
        print(f"no data: {where}: {expression}", file=sys.stderr)
    for _, expression in notes + alerts:
        get(url, "/api/v1/query", query=expression)
    firing = {a["labels"]["alertname"] for a in get(url, "/api/v1/alerts")["alerts"] if a["state"] == "firing"}
    if firing:
        print(f"alerts fire although nothing is wrong: {sorted(firing)}", file=sys.stderr)
    down = [t for t in get(url, "/api/v1/targets")["activeTargets"] if t["health"] != "up"]
    for target in down:
        print(f"not scraped: {target['scrapeUrl']}: {target['lastError']}", file=sys.stderr)
    if missing or firing or down:
        raise SystemExit(1)
    print(f"monitoring: {len(panels)} expressions of the dashboard and {len(recorded)} recorded series have data, "
          f"{len(alerts)} alerts are silent")


main()
