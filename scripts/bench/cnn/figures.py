"""How every peer is timed and what it prints: one line of JSON for each figure.

| key | meaning |
|---|---|
| `peer`, `net`, `threads` | who computed what with how many threads |
| `what` | `step` (a training step on ready batches), `fit` (one epoch of Keras' `fit`), `predict b1`, `predict b32` |
| `median_ms` | median wall time of one turn: a step, or a prediction of 1 or 32 pictures; null where turns are not timed apart |
| `img_per_s` | pictures per second of wall time, mean over all timed turns |
| `cpu_ms_per_img` | user and system time of the process, all threads, for one picture |
| `rss_mib` | peak memory of the process so far |

Machines are shared, so compare CPU time first.
"""

import json
import resource
import statistics
import time

BATCH = 64
# Batches that are made before the clock starts and then taken in turn.
READY = 4
# Turns before the clock starts: compilation, caches, memory.
WARM = 5
# Timed predictions by batch size.
PREDICTIONS = {1: 500, 32: 60}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(turn, turns):
    """Calls `turn(number)` for the warm-up and then `turns` times; returns what `figure` takes."""
    for number in range(WARM):
        turn(number)
    times = []
    cpu, began = cpu_seconds(), time.perf_counter()
    for number in range(turns):
        start = time.perf_counter()
        turn(WARM + number)
        times.append(time.perf_counter() - start)
    return times, time.perf_counter() - began, cpu_seconds() - cpu


def figure(peer, net, threads, what, images, measured):
    """Prints the figure of turns of `images` pictures each."""
    times, wall, cpu = measured
    total = images * len(times)
    line = {
        "peer": peer,
        "net": net,
        "threads": threads,
        "what": what,
        "median_ms": round(statistics.median(times) * 1e3, 4) if None not in times else None,
        "img_per_s": round(total / wall, 1),
        "cpu_ms_per_img": round(cpu * 1e3 / total, 5),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(line), flush=True)
