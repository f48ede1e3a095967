#!/usr/bin/env python3
"""Check that a server speaks the Open Inference Protocol v2 as the unchanged `tritonclient` understands it.

    python client_check.py HOST:PORT MODEL VERSION PICTURE… [-v]

Needs `pip install tritonclient[http] pillow`. The pictures have the size that the model takes. What the server
says of each on `POST /predict` is what it must say here. Prints every failed check and a closing line
'N passed, N failed'; exit status 1 if anything failed.
"""
import asyncio
import base64
import io
import json
import sys
import traceback
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import ml_dtypes
import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
from PIL import Image
from tritonclient.utils import InferenceServerException

args = [a for a in sys.argv[1:] if not a.startswith("-")]
VERBOSE = "-v" in sys.argv
HOST, MODEL, VERSION = args[:3]
FILES = [Path(p).read_bytes() for p in args[3:]]
PIXELS = np.stack([np.asarray(Image.open(io.BytesIO(f)).convert("RGB")) for f in FILES])
N = len(FILES)
TOLERANCE = 1e-6
passed = failed = 0


def ok(name, cond, detail=""):
    global passed, failed
    if cond:
        passed += 1
        if VERBOSE:
            print(f"ok    {name}")
    else:
        failed += 1
        print(f"FAIL  {name} {detail}")


def eq(name, got, want):
    ok(name, got == want, f"got {got!r}, want {want!r}")


@contextmanager
def section(name):
    global failed
    try:
        yield
    except Exception:
        failed += 1
        print(f"FAIL  {name}: {traceback.format_exc()}")


def refused(name, status, part, call):
    try:
        call()
    except InferenceServerException as e:
        ok(name, e.status() == str(status) and part in e.message(), f"got {e.status()} {e.message()!r}")
    else:
        ok(name, False, "was answered")


def native(file):
    request = urllib.request.Request(
        f"http://{HOST}/predict", data=file, headers={"Content-Type": "application/octet-stream"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def tensor(name, array, datatype, binary=True):
    made = http.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def same(name, result, want=None):
    want = EXPECTED if want is None else want
    got = result.as_numpy("probabilities")
    ok(f"{name}: type and shape", got.dtype == np.float32 and got.shape == want.shape, f"got {got.dtype} {got.shape}")
    ok(f"{name}: numbers", float(np.abs(got - want).max(initial=0)) <= TOLERANCE, f"got {got}, want {want}")


ANSWERS = [native(f) for f in FILES]
CLASSES = list(ANSWERS[0]["probabilities"])
EXPECTED = np.array([list(a["probabilities"].values()) for a in ANSWERS], dtype=np.float32)
LABELS = [a["label"].encode() for a in ANSWERS]
BYTES = np.array(FILES, dtype=np.object_)
TEXTS = np.array([base64.b64encode(f) for f in FILES], dtype=np.object_)
IMAGE = PIXELS.astype(np.float32)
client = http.InferenceServerClient(HOST, concurrency=4)


def infer(inputs, **kwargs):
    return client.infer(MODEL, inputs if isinstance(inputs, list) else [inputs], **kwargs)


with section("health and metadata"):
    ok("live", client.is_server_live())
    ok("ready", client.is_server_ready())
    ok("model is ready", client.is_model_ready(MODEL))
    ok("version is ready", client.is_model_ready(MODEL, VERSION))
    ok("unknown model is not ready", not client.is_model_ready("nope"))
    ok("unknown version is not ready", not client.is_model_ready(MODEL, "99"))
    told = client.get_server_metadata()
    eq("server", told["name"], "cvops")
    eq("extensions", set(told["extensions"]), {"binary_tensor_data", "classification", "model_repository"})
    told = client.get_model_metadata(MODEL)
    eq("model", told["name"], MODEL)
    ok("versions", VERSION in told["versions"], told["versions"])
    eq("inputs", [(i["name"], i["datatype"], i["shape"]) for i in told["inputs"]],
       [("image", "FP32", [-1, *PIXELS.shape[1:]]), ("image_bytes", "BYTES", [-1])])
    eq("outputs", [(o["name"], o["datatype"], o["shape"]) for o in told["outputs"]],
       [("probabilities", "FP32", [-1, len(CLASSES)]), ("label", "BYTES", [-1])])
    eq("metadata of a version", client.get_model_metadata(MODEL, VERSION)["inputs"], told["inputs"])

with section("numbers of every type"):
    for datatype, dtype in [
        ("UINT8", np.uint8), ("INT16", np.int16), ("INT32", np.int32), ("INT64", np.int64),
        ("UINT16", np.uint16), ("UINT32", np.uint32), ("UINT64", np.uint64),
        ("FP16", np.float16), ("FP32", np.float32), ("FP64", np.float64), ("BF16", ml_dtypes.bfloat16),
    ]:
        array = PIXELS.astype(dtype)
        same(f"{datatype} binary", infer(tensor("image", array, datatype)))
        if datatype not in ("FP16", "BF16"):
            same(f"{datatype} JSON", infer(tensor("image", array, datatype, binary=False)))

with section("files"):
    result = infer(tensor("image_bytes", BYTES, "BYTES"))
    same("files", result)
    eq("labels", list(result.as_numpy("label")), LABELS)
    same("files in base64", infer(tensor("image_bytes", TEXTS, "BYTES", binary=False)))
    same("one file", infer(tensor("image_bytes", BYTES[:1], "BYTES")), EXPECTED[:1])
    large = io.BytesIO()
    Image.fromarray(PIXELS[0]).resize((50, 40)).save(large, "PNG")
    want = np.array([list(native(large.getvalue())["probabilities"].values())], dtype=np.float32)
    same("a file of another size", infer(tensor("image_bytes", np.array([large.getvalue()], dtype=np.object_), "BYTES")), want)

with section("no picture"):
    same("binary", infer(tensor("image", IMAGE[:0], "FP32")), EXPECTED[:0].reshape(0, len(CLASSES)))
    same("files", infer(tensor("image_bytes", BYTES[:0], "BYTES")), EXPECTED[:0].reshape(0, len(CLASSES)))

with section("outputs"):
    image = tensor("image", IMAGE, "FP32")
    for binary in (True, False):
        asked = [http.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probabilities")]
        result = infer(image, outputs=asked, request_id=f"id {binary} äö")
        same(f"outputs, binary {binary}", result)
        got = [x if isinstance(x, bytes) else x.encode() for x in result.as_numpy("label")]
        eq(f"labels, binary {binary}", got, LABELS)
        told = result.get_response()
        eq(f"model, version and id, binary {binary}",
           (told["model_name"], told["model_version"], told["id"]), (MODEL, VERSION, f"id {binary} äö"))
        eq(f"order, binary {binary}", [o["name"] for o in told["outputs"]], ["label", "probabilities"])
        ok(f"form, binary {binary}", all(("data" in o) != binary for o in told["outputs"]), told)
        asked = [http.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
        result = infer(image, outputs=asked)
        ok("only what is asked for", result.as_numpy("label") is None)
        got = [[x.decode() if isinstance(x, bytes) else x for x in row] for row in result.as_numpy("probabilities")]
        best = [np.argsort(-row, kind="stable")[:2] for row in EXPECTED]
        parts = [[text.split(":") for text in row] for row in got]
        eq(f"classification, binary {binary}: classes", [[text[1:] for text in row] for row in parts],
           [[[str(i), CLASSES[i]] for i in top] for top in best])
        off = max(abs(float(text[0]) - EXPECTED[n][int(text[1])]) for n, row in enumerate(parts) for text in row)
        ok(f"classification, binary {binary}: six digits",
           off <= TOLERANCE + 5e-7 and all(len(text[0]) == 8 for row in parts for text in row), got)
    mixed = [http.InferRequestedOutput("probabilities", binary_data=True), http.InferRequestedOutput("label", binary_data=False)]
    result = infer(image, outputs=mixed)
    same("one output binary, one not", result)
    eq("the one that is not", [x.encode() for x in result.as_numpy("label")], LABELS)
    ok("an id is made up", infer(image).get_response()["id"])

with section("compression"):
    image = tensor("image", IMAGE, "FP32")
    plain = tensor("image", PIXELS, "UINT8", binary=False)
    for coding in ("gzip", "deflate"):
        same(f"{coding} there", infer(image, request_compression_algorithm=coding))
        same(f"{coding} back", infer(image, response_compression_algorithm=coding))
        same(f"{coding} both, JSON", infer(plain, request_compression_algorithm=coding, response_compression_algorithm=coding))
    many = tensor("image", np.repeat(IMAGE, 60, axis=0), "FP32")
    want = np.repeat(EXPECTED, 60, axis=0)
    for coding in ("gzip", "deflate"):
        same(f"{coding} of a large answer", infer(many, response_compression_algorithm=coding), want)

with section("versions and several requests at once"):
    same("a version", infer(tensor("image", IMAGE, "FP32"), model_version=VERSION))
    waiting = [client.async_infer(MODEL, [tensor("image", IMAGE[i:i + 1], "FP32")], request_id=str(i)) for i in range(N)]
    for i, answer in enumerate(waiting):
        result = answer.get_result()
        eq("whose answer it is", result.get_response()["id"], str(i))
        same("one of many", result, EXPECTED[i:i + 1])

with section("errors"):
    image = tensor("image", IMAGE, "FP32")
    refused("unknown model", 404, "Request for unknown model: 'nope' is not found", lambda: client.infer("nope", [image]))
    refused("unknown version", 404, f"Request for unknown model: '{MODEL}' version 99 is not found",
            lambda: infer(image, model_version="99"))
    refused("metadata of an unknown model", 404, "'nope' is not found", lambda: client.get_model_metadata("nope"))
    refused("unknown input", 400, f"unexpected inference input 'x' for model '{MODEL}'", lambda: infer(tensor("x", IMAGE, "FP32")))
    refused("unknown output", 400, "unexpected inference output 'x'", lambda: infer(image, outputs=[http.InferRequestedOutput("x")]))
    refused("both inputs", 400, "expected 1 input but got 2", lambda: infer([image, tensor("image_bytes", BYTES, "BYTES")]))
    refused("shape", 400, "unexpected shape for input 'image'", lambda: infer(tensor("image", IMAGE[0], "FP32")))
    refused("type", 400, "data-type is 'BYTES', but", lambda: infer(tensor("image", BYTES, "BYTES")))
    refused("bool", 400, "data-type is 'BOOL', but", lambda: infer(tensor("image", PIXELS > 7, "BOOL")))
    refused("values", 400, "between 0 and 255", lambda: infer(tensor("image", IMAGE * 1000, "FP32")))
    refused("no picture", 400, "image", lambda: infer(tensor("image_bytes", np.array([b"hello"], dtype=np.object_), "BYTES")))
    refused("classification of labels", 400, "'classification' is not available",
            lambda: infer(image, outputs=[http.InferRequestedOutput("label", class_count=1)]))
    shared = http.InferInput("image", list(IMAGE.shape), "FP32")
    shared.set_shared_memory("region", IMAGE.nbytes)
    refused("shared memory", 400, "shared memory is not offered", lambda: infer(shared))
    refused("unknown model, load", 404, "'nope' is not found", lambda: client.load_model("nope"))

with section("repository"):
    index = client.get_model_repository_index()
    eq("index", [(m["name"], m["version"], m["state"], m["reason"]) for m in index], [(MODEL, VERSION, "READY", "")])
    client.load_model(MODEL)
    same("after a load", infer(tensor("image", IMAGE, "FP32")))
    client.unload_model(MODEL)
    ok("unloaded: not ready", not client.is_model_ready(MODEL))
    refused("unloaded: not asked", 503, "is not ready", lambda: infer(tensor("image", IMAGE, "FP32")))
    eq("unloaded: index", [(m["name"], m["state"]) for m in client.get_model_repository_index()], [(MODEL, "UNAVAILABLE")])
    client.load_model(MODEL)
    ok("loaded again: ready", client.is_model_ready(MODEL))
    same("loaded again: asked", infer(tensor("image", IMAGE, "FP32")))


async def asynchronous():
    async with aio.InferenceServerClient(HOST) as later:
        def made(name, array, datatype, binary):
            one = aio.InferInput(name, list(array.shape), datatype)
            one.set_data_from_numpy(array, binary_data=binary)
            return [one]

        ok("aio: ready", await later.is_server_ready() and await later.is_model_ready(MODEL))
        eq("aio: metadata", (await later.get_model_metadata(MODEL))["name"], MODEL)
        same("aio: binary", await later.infer(MODEL, made("image", IMAGE, "FP32", True)))
        same("aio: JSON", await later.infer(MODEL, made("image", PIXELS, "UINT8", False)))
        same("aio: files", await later.infer(MODEL, made("image_bytes", BYTES, "BYTES", True)))
        packed = await later.infer(MODEL, made("image", IMAGE, "FP32", True), request_compression_algorithm="gzip")
        same("aio: gzip", packed)
        try:
            await later.infer("nope", made("image", IMAGE, "FP32", True))
            ok("aio: unknown model", False)
        except InferenceServerException as e:
            eq("aio: unknown model", e.status(), "404")


with section("asyncio client"):
    asyncio.run(asynchronous())

client.close()
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
