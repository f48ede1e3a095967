"""Predictions with onnxruntime.

usage: infer_onnxruntime.py NET THREADS FILE     FILE: from make_onnx.py
"""

import sys

import numpy as np
import onnxruntime

from figures import PREDICTIONS, figure, timed
from networks import network

name, threads, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
net = network(name)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
for batch, turns in PREDICTIONS.items():
    x = np.random.rand(batch, net.channels, net.side, net.side).astype("float32")
    measured = timed(lambda _: session.run(None, {"x": x}), turns)
    figure("onnxruntime", name, threads, f"predict b{batch}", batch, measured)
