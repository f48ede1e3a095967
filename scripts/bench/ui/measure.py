#!/usr/bin/env python3
"""Measures the web UI with a headless Chromium; called by ui.sh, which says what the parts are.

    measure.py BROWSER weight|runs|points|live PROJECT CVOPS PORT [SIZE]
    measure.py BROWSER mlflow FOLDER MLFLOW PORT

Prints rows of the table in docs/benchmarks.md. Only the standard library.
"""
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request
import uuid

from chromium import Chromium

browser, what, folder, program, port, *size = sys.argv[1:]
size = int(size[0]) if size else 0
base = f"http://127.0.0.1:{port}"
ROUNDS = 5


def row(name, figure, bar):
    print(f"| {name} | {figure} | {bar} |", flush=True)


def ms(seconds):
    return f"{seconds * 1000:.0f} ms"


def kib(count):
    return f"{count / 1024:.0f} KiB"


def post(endpoint, body):
    ask = urllib.request.Request(f"{base}/api/2.0/mlflow/{endpoint}", json.dumps(body).encode(),
                                 {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(ask))


class Server:
    """A server until the block ends."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        until = time.monotonic() + 120
        while True:
            try:
                return urllib.request.urlopen(f"{base}/health").read()
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise SystemExit(f"no server: {self.process.args}")
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def cvops():
    return Server(program, "ui", "--port", port)


def database():
    return sqlite3.connect(f"{folder}/.cvops/tracking.db")


def first_paint(page, url):
    """Median seconds until something is seen, each time with an empty cache."""
    paints = []
    for _ in range(ROUNDS):
        page.page()
        page.goto(url)
        page.wait("performance.getEntriesByName('first-contentful-paint').length")
        paints.append(page.run("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
    return statistics.median(paints)


def weight(page):
    run = next(iter(post("runs/search", {"experiment_ids": ["0"], "max_results": 1})["runs"]))["info"]["run_id"]
    pages = ["/", "/pipeline", "/pipeline/train", "/runs", f"/runs/{run}", f"/runs/{run}/metrics", f"/runs/{run}/artifacts",
             f"/compare?run={run}&run={run}", "/images", "/evaluation", "/sweeps", "/models", "/models/classifier",
             "/models/classifier/1", "/serving", "/data"]
    heaviest = (0, "")
    for path in pages:
        page.page()
        page.goto(base + path)
        time.sleep(1)  # what scripts ask for after the page has loaded
        status = page.run("performance.getEntriesByType('navigation')[0].responseStatus")
        short = path.replace(run, "ID")
        print(f"{short}: {kib(page.received())}{'' if status == 200 else f', answered {status}'}", file=sys.stderr)
        heaviest = max(heaviest, (page.received(), short))
    row(f"first load of any page, on the wire (heaviest: `{heaviest[1]}`)", kib(heaviest[0]), "< 300 KiB")


def mlflow(page):
    page.page()
    page.goto(base)
    time.sleep(8)  # its scripts load more scripts
    row("first load of MLflow's UI, on the wire", kib(page.received()), "–")
    row("first contentful paint of MLflow's UI, no runs", ms(first_paint(page, base)), "–")


def fill_runs(count):
    db, started = database(), 1_700_000_000_000
    for i in range(count):
        at = started + i * 1000
        run = db.execute("INSERT INTO runs (id, experiment, name, status, started_ms, ended_ms, command, targets)"
                         " VALUES (?, 0, ?, 'FINISHED', ?, ?, 'cvops repro', '[]')",
                         (uuid.uuid4().hex, f"run-{i}", at, at + 500)).lastrowid
        db.executemany("INSERT INTO params (run, name, file, key, value, typed) VALUES (?1, ?2, 'params.yaml', ?2, ?3, 1)",
                       [(run, f"train.p{k:02}", str(random.randrange(3)) if k < 3 else "1") for k in range(10)])
        db.executemany("INSERT INTO metrics (run, experiment, name, file, key, value, step, at_ms)"
                       " VALUES (?1, 0, ?2, 'm.json', ?2, ?3, 0, 0)", [(run, f"m{k}", random.random()) for k in range(8)])
    db.commit()


def runs(page):
    row(f"{size:,} runs: first contentful paint of `/runs`", ms(first_paint(page, f"{base}/runs")), "< 0.5 s")
    page.page()
    page.goto(f"{base}/runs")
    page.wait("document.querySelector('table.data tbody tr')")
    frames = page.run("""(async () => {
        const boxes = [document.scrollingElement, ...document.querySelectorAll('main *')];
        const box = boxes.find(e => e.scrollHeight > e.clientHeight + 200 && (e == document.scrollingElement || /auto|scroll/.test(getComputedStyle(e).overflowY)));
        if (!box) return null;
        let last = performance.now(), slow = 0, worst = 0, frames = 0, rows = new Set();
        const end = last + 10000;
        while (last < end) {
            await new Promise(requestAnimationFrame);
            const now = performance.now();
            if (now - last > 50) slow++;
            worst = Math.max(worst, now - last);
            last = now; frames++;
            box.scrollTop += 120;
            if (frames % 10 == 0) for (const a of document.querySelectorAll('table.data tbody a[href^="/runs/"]')) rows.add(a.pathname);
        }
        return {slow, worst, frames, seen: rows.size, at: box.scrollTop, nodes: document.querySelectorAll('*').length};
    })()""")
    if frames:
        row(f"{size:,} runs scrolled for 10 s: frames over 50 ms of {frames['frames']} (worst; {frames['seen']:,} runs seen)",
            f"{frames['slow']} ({frames['worst']:.0f} ms)", "0")


DRAWN = """new Promise(done => {
    const look = () => {
        const drawn = Array.from(document.querySelectorAll('main svg path, main svg polyline')).find(p =>
            (p.getAttribute('d') ?? p.getAttribute('points') ?? '').length > 2000 && p.getBoundingClientRect().width > 100);
        // The frame after the one that has it is on the screen.
        if (drawn) requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
        else requestAnimationFrame(look);
    };
    look();
})"""


def fill_points(count):
    run = post("runs/create", {"experiment_id": "0", "run_name": "long", "start_time": 1_700_000_000_000})
    run = run["run"]["info"]["run_id"]
    post("runs/log-metric", {"run_id": run, "key": "loss", "value": 0.1, "step": count, "timestamp": 1_700_000_000_000 + count})
    db = database()
    metric = db.execute("SELECT m.id FROM metrics m JOIN runs r ON r.number = m.run WHERE r.id = ?", (run,)).fetchone()[0]
    value = 1.0
    def points():
        nonlocal value
        for step in range(count):
            value += random.uniform(-0.01, 0.01)
            yield (metric, 1_700_000_000_000 + step, step, value)
    db.executemany("INSERT INTO points (metric, at_ms, step, is_number, value) VALUES (?, ?, ?, 1, ?)", points())
    db.commit()
    return run


def points(page):
    run = fill_points(size)
    drawn = []
    for _ in range(ROUNDS):
        page.page()
        page.goto(f"{base}/runs/{run}/metrics")
        drawn.append(page.run(DRAWN) / 1000)
    row(f"a metric of {size:,} points: from the click until it is drawn", ms(statistics.median(drawn)), "< 1 s")


def live(page):
    run = post("runs/create", {"experiment_id": "0", "run_name": "live", "start_time": 1_700_000_000_000})["run"]["info"]["run_id"]
    def log(update):
        steps = range(update * 4, update * 4 + 4)
        metrics = [{"key": k, "value": random.random(), "step": step, "timestamp": 1_700_000_000_000 + step * 250}
                   for step in steps for k in ("loss", "accuracy", "system/cpu")]
        post("runs/log-batch", {"run_id": run, "metrics": metrics})
    for update in range(100):
        log(update)
    page.page()
    page.goto(f"{base}/runs/{run}/metrics")
    page.wait("document.querySelector('main svg')")
    def state():
        page.garbage()
        page.garbage()
        return page.figure("JSHeapUsedSize"), page.figure("Nodes")
    states, began = [], time.monotonic()
    for update in range(size):
        # By a third of an hour each curve has more points than a page keeps.
        if update in (size // 3, size * 2 // 3):
            states.append(state())
        log(100 + update)
        time.sleep(max(0, began + update * 0.04 - time.monotonic()))
    time.sleep(3)
    states.append(state())
    shown = " → ".join(f"{heap / 1048576:.2f} MiB, {nodes:.0f} nodes" for heap, nodes in states)
    row(f"a page open while {size:,} updates of 3 metrics come, 4 steps each: heap and DOM after a third, two thirds, all", shown, "does not grow")


page = Chromium(browser)
try:
    if what == "mlflow":
        with Server(program, "server", "--port", port, "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"):
            mlflow(page)
    else:
        if what == "runs":
            with cvops():  # makes the record
                post("experiments/search", {"max_results": 1})
            fill_runs(size)
        with cvops():
            {"weight": weight, "runs": runs, "points": points, "live": live}[what](page)
finally:
    page.close()
