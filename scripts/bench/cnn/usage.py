"""Runs a command and appends what it took to a file, as one line of JSON: `wall_s`, `cpu_s` (user
and system, with its children) and `peak_mib` (the largest of its processes).

usage: usage.py FILE COMMAND...

What the command prints goes to standard output; its exit code is passed on.
"""

import json
import resource
import subprocess
import sys
import time

began = time.perf_counter()
code = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL).returncode
wall = time.perf_counter() - began
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
line = {
    "wall_s": round(wall, 2),
    "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
    "peak_mib": usage.ru_maxrss // 1024,
}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps(line) + "\n")
sys.exit(code)
