"""Writes a network with random weights as an ONNX file for any batch size.

usage: make_onnx.py NET FILE
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from networks import Conv, Dense, Dropout, Flatten, Mean, Pool, Residual, network

name, file = sys.argv[1:3]
net = network(name)
random = np.random.default_rng(0)
nodes, weights = [], []


def weight(*shape, of=None):
    values = 0.05 * random.standard_normal(shape) if of is None else np.full(shape, of)
    weights.append(numpy_helper.from_array(values.astype("float32"), f"w{len(weights)}"))
    return weights[-1].name


def add(op, *inputs, **attributes):
    nodes.append(helper.make_node(op, inputs, [f"t{len(nodes)}"], **attributes))
    return nodes[-1].output[0]


def conv(x, inputs, c):
    operands = [x, weight(c.filters, inputs, c.kernel, c.kernel)]
    if not c.norm:
        operands.append(weight(c.filters))
    border = c.kernel // 2 if c.same else 0
    x = add("Conv", *operands, kernel_shape=[c.kernel] * 2, strides=[c.stride] * 2, pads=[border] * 4)
    if c.norm:
        # As after training; onnxruntime folds it into the convolution.
        moments = [weight(c.filters, of=of) for of in (1, 0, 0, 1)]
        x = add("BatchNormalization", x, *moments)
    return add("Relu", x) if c.relu else x


def dense(x, inputs, units):
    return add("Gemm", x, weight(inputs, units), weight(units))


x, side, channels = "x", net.side, net.channels
for spec in net.layers:
    match spec:
        case Conv():
            x = conv(x, channels, spec)
            side = (side - 1 if spec.same else side - spec.kernel) // spec.stride + 1
            channels = spec.filters
        case Pool(size):
            x = add("MaxPool", x, kernel_shape=[size] * 2, strides=[size] * 2)
            side //= size
        case Residual(filters, stride):
            y = conv(x, channels, Conv(filters, stride=stride, same=True, norm=True))
            y = conv(y, filters, Conv(filters, same=True, norm=True, relu=False))
            if stride != 1:
                shortcut = Conv(filters, kernel=1, stride=stride, same=True, norm=True, relu=False)
                x = conv(x, channels, shortcut)
            x = add("Relu", add("Add", x, y))
            side, channels = (side - 1) // stride + 1, filters
        case Mean():
            x = add("Flatten", add("GlobalAveragePool", x), axis=1)
        case Flatten():
            x = add("Flatten", x, axis=1)
            channels = channels * side * side
        case Dense(units):
            x = add("Relu", dense(x, channels, units))
            channels = units
        case Dropout():
            pass
dense(x, channels, net.classes)
nodes[-1].output[0] = "y"
graph = helper.make_graph(
    nodes,
    name,
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", net.channels, net.side, net.side])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", net.classes])],
    weights,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, file)
