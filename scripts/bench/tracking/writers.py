#!/usr/bin/env python3
"""N processes' worth of writers on one tracking server: calls a second, errors, and whether each
acknowledged point is there afterwards.

    python writers.py CVOPS PORT WRITERS SECONDS

Starts `CVOPS ui --port PORT` in the current folder and stops it again. Standard library only."""
import http.client
import json
import subprocess
import sys
import threading
import time

cvops, port, writers, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
server = subprocess.Popen([cvops, "ui", "--port", str(port)], stderr=subprocess.DEVNULL)


def call(conn, method, path, body=None):
    conn.request(method, "/api/2.0/mlflow/" + path, json.dumps(body) if body is not None else None,
                 {"Content-Type": "application/json"})
    answer = conn.getresponse()
    return answer.status, json.loads(answer.read() or b"{}")


def connect():
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


try:
    for _ in range(500):
        try:
            first = connect()
            first.request("GET", "/health")
            if first.getresponse().read() == b"OK":
                break
        except OSError:
            time.sleep(0.01)
    acknowledged, errors, lock = {}, [], threading.Lock()
    stop = time.perf_counter() + seconds

    def write():
        conn = connect()
        status, made = call(conn, "POST", "runs/create", {"experiment_id": "0", "start_time": 1})
        if status != 200:
            errors.append((status, made))
            return
        run, done = made["run"]["info"]["run_id"], 0
        while time.perf_counter() < stop:
            status, answer = call(conn, "POST", "runs/log-metric", {
                "run_id": run, "key": "loss", "value": done, "timestamp": done, "step": done})
            if status == 200:
                done += 1
            else:
                errors.append((status, answer))
        with lock:
            acknowledged[run] = done

    threads = [threading.Thread(target=write) for _ in range(writers)]
    began = time.perf_counter()
    [t.start() for t in threads]
    [t.join() for t in threads]
    took = time.perf_counter() - began
    conn, missing = connect(), 0
    for run, done in acknowledged.items():
        _, page = call(conn, "GET", f"metrics/get-history?run_id={run}&metric_key=loss")
        missing += done - len(page.get("metrics", []))
    total = sum(acknowledged.values())
    print(f"{writers} writers: {total / took:.0f} calls/s, {len(errors)} errors, {missing} of {total} points missing")
    sys.exit(1 if errors or missing else 0)
finally:
    server.terminate()
    server.wait()
