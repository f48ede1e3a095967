"""A training step and predictions with PyTorch, eager.

usage: steps_torch.py NET THREADS STEPS [cl]     cl: maps and weights are stored channels last
"""

import sys

import torch
from torch import nn

from figures import BATCH, PREDICTIONS, READY, figure, timed
from networks import Conv, Dense, Dropout, Flatten, Mean, Pool, Residual, network

name, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
net = network(name)
channels_last = sys.argv[4:] == ["cl"]
peer = "torch channels-last" if channels_last else "torch"
torch.set_num_threads(threads)
torch.manual_seed(42)


def conv(inputs, c):
    border = c.kernel // 2 if c.same else 0
    layers = [nn.Conv2d(inputs, c.filters, c.kernel, c.stride, border, bias=not c.norm)]
    layers += [nn.BatchNorm2d(c.filters)] if c.norm else []
    layers += [nn.ReLU()] if c.relu else []
    return nn.Sequential(*layers)


class Block(nn.Module):
    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.convs = nn.Sequential(
            conv(inputs, Conv(filters, stride=stride, same=True, norm=True)),
            conv(filters, Conv(filters, same=True, norm=True, relu=False)),
        )
        self.shortcut = nn.Identity()
        if stride != 1:
            shortcut = Conv(filters, kernel=1, stride=stride, same=True, norm=True, relu=False)
            self.shortcut = conv(inputs, shortcut)

    def forward(self, x):
        return torch.relu(self.convs(x) + self.shortcut(x))


def build():
    # How many values come out of a layer is seen by running it.
    x = torch.zeros(1, net.channels, net.side, net.side)
    layers = []
    for spec in net.layers:
        match spec:
            case Conv():
                made = [conv(x.shape[1], spec)]
            case Pool(size):
                made = [nn.MaxPool2d(size)]
            case Residual(filters, stride):
                made = [Block(x.shape[1], filters, stride)]
            case Mean():
                made = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            case Flatten():
                made = [nn.Flatten()]
            case Dense(units):
                made = [nn.Linear(x.shape[1], units), nn.ReLU()]
            case Dropout(share):
                made = [nn.Dropout(share)]
        with torch.no_grad():
            x = nn.Sequential(*made).eval()(x)
        layers += made
    return nn.Sequential(*layers, nn.Linear(x.shape[1], net.classes)).train()


def stored(tensor):
    return tensor.contiguous(memory_format=torch.channels_last) if channels_last else tensor


model = build()
if channels_last:
    model = model.to(memory_format=torch.channels_last)
optimiser = torch.optim.Adam(model.parameters(), 1e-3)
loss = nn.CrossEntropyLoss()
images = [stored(torch.rand(BATCH, net.channels, net.side, net.side)) for _ in range(READY)]
labels = [(torch.arange(BATCH) * 7 + k) % net.classes for k in range(READY)]


def step(number):
    value = loss(model(images[number % READY]), labels[number % READY])
    value.item()
    optimiser.zero_grad()
    value.backward()
    optimiser.step()


figure(peer, name, threads, "step", BATCH, timed(step, steps))

model.eval()
with torch.inference_mode():
    for batch, turns in PREDICTIONS.items():
        x = stored(images[0][:batch].contiguous())
        measured = timed(lambda _: model(x), turns)
        figure(peer, name, threads, f"predict b{batch}", batch, measured)
