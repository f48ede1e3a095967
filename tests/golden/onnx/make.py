"""Makes the networks of this folder and asks onnxruntime about them. Run it in this folder."""
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T, helper as h, numpy_helper as nh

SIDE, CLASSES = 16, 3
rng = np.random.default_rng(9)


class Graph:
    def __init__(self, first):
        self.nodes, self.weights, self.at = [], [], first

    def weight(self, *shape, scale=0.3):
        return self.const((rng.standard_normal(shape) * scale).astype(np.float32))

    def const(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(nh.from_array(np.asarray(values), name))
        return name

    def op(self, kind, *more, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(h.make_node(kind, [self.at, *more], [name], name=f"n{len(self.nodes)}", **attributes))
        self.at = name

    def save(self, path, shape, batch, opset, **how):
        self.nodes[-1].output[0] = "y"
        graph = h.make_graph(
            self.nodes, "tiny",
            [h.make_tensor_value_info("x", T.FLOAT, [batch, *shape])],
            [h.make_tensor_value_info("y", T.FLOAT, [batch, CLASSES])],
            self.weights,
        )
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save_model(model, path, **how)


def trunk(g):
    g.op("Conv", g.weight(4, 3, 3, 3), g.weight(4), pads=[1, 1, 1, 1], strides=[2, 2])
    g.op("Relu")
    g.op("Conv", g.weight(6, 4, 1, 1), g.weight(6))
    g.op("Relu")
    g.op("MaxPool", kernel_shape=[2, 2], strides=[2, 2])


def nchw(path, **how):
    g = Graph("x")
    trunk(g)
    g.op("Flatten", axis=1)
    g.op("Gemm", g.weight(CLASSES, 96), g.weight(CLASSES), transB=1)
    g.save(path, [3, SIDE, SIDE], "batch", 17, **how)


def nhwc(path):
    g = Graph("x")
    g.op("Transpose", perm=[0, 3, 1, 2])
    trunk(g)
    g.op("Transpose", perm=[0, 2, 3, 1])
    g.op("Reshape", g.const(np.array([-1, 96], dtype=np.int64)))
    g.op("MatMul", g.weight(96, CLASSES))
    g.op("Add", g.weight(CLASSES))
    g.op("Softmax", axis=-1)
    g.save(path, [SIDE, SIDE, 3], 1, 13)


def stripes(which, number):
    """Picture `number` of class `which`, as tests/it/support/pictures.rs draws it."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for y in range(SIDE):
        for x in range(SIDE):
            along = (x, y, x + y)[which % 3]
            base = 200 if (along + number) % 4 < 2 else 40
            mark = number if (x, y) == (0, 0) else 0
            pixels[y, x] = [base + number * 7 % 50, base, (mark + base) % 256]
    return pixels


def softmax(row):
    e = np.exp(row.astype(np.float64) - row.max())
    return e / e.sum()


MLMODEL = """flavors:
  onnx:
    code: null
    data: model.onnx
    onnx_version: 1.23.2
    onnx_session_options: null
    providers:
    - CUDAExecutionProvider
    - CPUExecutionProvider
  python_function:
    data: model.onnx
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.onnx
    python_version: 3.11.2
mlflow_version: 3.17.2
model_uuid: m-2b1f4c0e5d7a4b6c8d9e0f1a2b3c4d5e
utc_time_created: '2026-11-28 09:00:00.000000'
"""


def main():
    nchw("nchw.onnx")
    nhwc("nhwc.onnx")
    pathlib.Path("nhwc.yaml").write_text(
        "# Values 0 to 255, centred and scaled per channel.\n"
        "name: stripes\nclasses: [across, along, slanted]\nscale: 1\n"
        "mean: [120, 110, 100]\nstd: [60, 61, 62]\n"
    )
    folder = pathlib.Path("mlflow")
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    # What MLflow passes on; onnx draws such a name where none is given.
    nchw("mlflow/model.onnx", save_as_external_data=True, size_threshold=256,
         location="8c7d1b1e-5a0f-11f0-9d6e-0242ac120002.data")
    (folder / "MLmodel").write_text(MLMODEL)
    answers = {}
    for name in ["nchw", "nhwc", "mlflow/model"]:
        session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
        for which, number in [(0, 5), (1, 3), (2, 11)]:
            values = stripes(which, number).astype(np.float32)
            if name == "nhwc":
                values = (values - np.array([120, 110, 100], np.float32)) / np.array([60, 61, 62], np.float32)
                row = session.run(None, {"x": values[None]})[0][0].astype(np.float64)
            else:
                values = values.transpose(2, 0, 1) / np.float32(255)
                row = softmax(session.run(None, {"x": values[None]})[0][0])
            answers[f"{name} {which} {number}"] = [float(p) for p in row]
    pathlib.Path("answers.json").write_text(json.dumps(answers, indent=1) + "\n")


main()
