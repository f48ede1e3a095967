"""The networks as a Keras user writes them."""

from tensorflow import keras

from networks import Conv, Dense, Dropout, Flatten, Mean, Pool, Residual

L = keras.layers


def build(net, before=()):
    """Returns the network as a model that gives logits; the layers `before` come first."""
    pictures = keras.Input((net.side, net.side, net.channels))
    x = pictures
    for made in before:
        x = made(x)
    for spec in net.layers:
        x = _layer(x, spec)
    return keras.Model(pictures, L.Dense(net.classes)(x))


def _layer(x, spec):
    match spec:
        case Conv():
            return _conv(x, spec)
        case Pool(size):
            return L.MaxPool2D(size)(x)
        case Residual(filters, stride):
            y = _conv(x, Conv(filters, stride=stride, same=True, norm=True))
            y = _conv(y, Conv(filters, same=True, norm=True, relu=False))
            if stride != 1:
                shortcut = Conv(filters, kernel=1, stride=stride, same=True, norm=True, relu=False)
                x = _conv(x, shortcut)
            return L.ReLU()(L.Add()([x, y]))
        case Mean():
            return L.GlobalAveragePooling2D()(x)
        case Flatten():
            return L.Flatten()(x)
        case Dense(units):
            return L.Dense(units, activation="relu")(x)
        case Dropout(share):
            return L.Dropout(share)(x)


def _conv(x, c):
    x = L.Conv2D(
        c.filters,
        c.kernel,
        strides=c.stride,
        padding="same" if c.same else "valid",
        use_bias=not c.norm,
        activation="relu" if c.relu and not c.norm else None,
    )(x)
    if c.norm:
        x = L.BatchNormalization()(x)
        x = L.ReLU()(x) if c.relu else x
    return x
