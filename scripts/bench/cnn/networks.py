"""The networks of this comparison, described once: every peer builds its own from these lists.

The last layer, one output per class without activation, is implied. `cnn35`, `lenet` and `resnet8`
are presets of cvops; `emoji64` is `cnn35` for larger pictures.
"""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """Square convolution, then batch norm (without a bias of its own then), then ReLU."""

    filters: int
    kernel: int = 3
    stride: int = 1
    same: bool = False
    norm: bool = False
    relu: bool = True


@dataclass(frozen=True)
class Pool:
    """The largest of each window; the windows do not overlap."""

    size: int = 2


@dataclass(frozen=True)
class Residual:
    """Two normalised 3x3 convolutions, the first with `stride`, added to their input (through a
    normalised 1x1 convolution where `stride` is not 1), then ReLU."""

    filters: int
    stride: int


@dataclass(frozen=True)
class Mean:
    """Each map becomes its mean."""


@dataclass(frozen=True)
class Flatten:
    """Maps become one row."""


@dataclass(frozen=True)
class Dense:
    """Full connection with ReLU."""

    units: int


@dataclass(frozen=True)
class Dropout:
    """Zeroes this share of the values in training."""

    share: float


@dataclass(frozen=True)
class Network:
    side: int
    channels: int
    classes: int
    layers: tuple


_CNN35 = (
    Conv(32), Conv(32), Pool(),
    Conv(64), Conv(64), Pool(),
    Flatten(), Dense(128), Dropout(0.5),
)  # fmt: skip
_LENET = (
    Conv(6, kernel=5, same=True), Pool(),
    Conv(16, kernel=5), Pool(),
    Flatten(), Dense(120), Dense(84),
)  # fmt: skip
_RESNET8 = (
    Conv(16, same=True, norm=True),
    Residual(16, 1), Residual(32, 2), Residual(64, 2),
    Mean(),
)  # fmt: skip

NETWORKS = {
    "cnn35": Network(35, 3, 10, _CNN35),
    "emoji64": Network(64, 3, 9, _CNN35),
    "lenet": Network(35, 3, 10, _LENET),
    "resnet8": Network(32, 3, 10, _RESNET8),
}


def network(name):
    """Returns the network of this name, or ends the program with the names there are."""
    if name not in NETWORKS:
        sys.exit(f"no network {name}; there are {', '.join(NETWORKS)}")
    return NETWORKS[name]
