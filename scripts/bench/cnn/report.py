"""Prints the table of lines of figures.py: of all rounds the least, which neighbours disturbed least.

usage: report.py FILE

`times` is the peer's figure by cvops's: above 1 cvops is faster. A step of cvops is one of its `fit`,
with shuffling and normalising; it stands beside the peers' bare step and beside Keras' `fit`.
Wall time is the median of a turn where turns are timed apart. With two threads PyTorch and
onnxruntime wait by spinning, so their CPU time says little while others use the cores.
"""

import json
import sys

NETS = ["cnn35", "emoji64", "lenet", "resnet8"]
IMAGES = {"step": 64, "fit": 64, "predict b1": 1, "predict b32": 32}
HEAD = (
    "network", "what", "threads", "peer",
    "CPU ms/image (all rounds)", "cvops", "times",
    "wall ms/image", "cvops", "times", "peak MiB",
)  # fmt: skip


def wall(f):
    """Returns the milliseconds of wall time for one picture."""
    if f["median_ms"] is None:
        return 1000 / f["img_per_s"]
    return f["median_ms"] / IMAGES[f["what"]]


def number(value):
    """Returns at least three significant digits, without an exponent."""
    return f"{value:.{next((d for d, least in enumerate((100, 10, 1, 0.1)) if value >= least), 4)}f}"


def row(cells):
    print("| " + " | ".join(map(str, cells)) + " |")


def main():
    rounds = {}
    for line in open(sys.argv[1]):
        f = json.loads(line)
        key = NETS.index(f["net"]), list(IMAGES).index(f["what"]), f["threads"], f["peer"]
        rounds.setdefault(key, []).append((f["cpu_ms_per_img"], wall(f), f["rss_mib"] or 0))
    least = {key: [min(column) for column in zip(*rows)] for key, rows in rounds.items()}
    row(HEAD)
    row(["---"] * len(HEAD))
    for key in sorted(least, key=lambda key: key[:3]):
        net, what, threads, peer = key
        cpu, turn, peak = least[key]
        ours = least.get((net, 0 if what == 1 else what, threads, "cvops"))
        ours_cpu, times_cpu, ours_wall, times_wall = [""] * 4
        if ours is not None and peer != "cvops":
            ours_cpu, times_cpu = number(ours[0]), f"{cpu / ours[0]:.2f}"
            ours_wall, times_wall = number(ours[1]), f"{turn / ours[1]:.2f}"
        every = " ".join(number(each[0]) for each in rounds[key])
        row([
            NETS[net], list(IMAGES)[what], threads, peer,
            f"**{number(cpu)}** ({every})", ours_cpu, times_cpu,
            number(turn), ours_wall, times_wall, peak,
        ])  # fmt: skip


main()
