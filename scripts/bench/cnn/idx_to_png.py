"""Writes the IDX files of Fashion-MNIST as PNG files: OUT/train/CLASS/00000.png, OUT/test/….

usage: idx_to_png.py DATA OUT     DATA: the four files, gzip or not

The folder appears when it is complete.
"""

import gzip
import os
import struct
import sys
import zlib

CLASSES = "t-shirt trouser pullover dress coat sandal shirt sneaker bag ankle-boot".split()


def read(path, magic, sides):
    """Returns the sizes and the bytes of an IDX file of u8 with this many dimensions."""
    if os.path.exists(path):
        raw = open(path, "rb").read()
    else:
        raw = gzip.open(path + ".gz").read()
    head = struct.unpack(f">{1 + sides}I", raw[: 4 * (1 + sides)])
    if head[0] != magic:
        sys.exit(f"{path} is not the IDX file it should be")
    return head[1:], raw[4 * (1 + sides) :]


def png(width, height, grey):
    """Returns an 8-bit grey PNG file of these rows."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + grey[y * width : (y + 1) * width] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows, 1))
        + chunk(b"IEND", b"")
    )


data, out = sys.argv[1:3]
partial = out.rstrip("/") + ".part"
for split, prefix in (("train", "train"), ("test", "t10k")):
    (count, height, width), pixels = read(f"{data}/{prefix}-images-idx3-ubyte", 0x803, 3)
    (labelled,), labels = read(f"{data}/{prefix}-labels-idx1-ubyte", 0x801, 1)
    if count != labelled or len(pixels) != count * height * width or len(labels) != count:
        sys.exit(f"the files of {split} do not belong together")
    for name in CLASSES:
        os.makedirs(f"{partial}/{split}/{name}", exist_ok=True)
    size = height * width
    for i, label in enumerate(labels):
        with open(f"{partial}/{split}/{CLASSES[label]}/{i:05d}.png", "wb") as file:
            file.write(png(width, height, pixels[i * size : (i + 1) * size]))
os.rename(partial, out)
