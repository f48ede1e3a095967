"""A training step, `fit` and predictions with TensorFlow and Keras.

usage: steps_tensorflow.py NET THREADS STEPS
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from tensorflow import keras

from figures import BATCH, PREDICTIONS, READY, cpu_seconds, figure, timed
from networks import network
from networks_keras import build

name, threads, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
net = network(name)
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
keras.utils.set_random_seed(42)

model = build(net)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
images = np.random.rand(READY * BATCH, net.side, net.side, net.channels).astype("float32")
labels = (np.arange(READY * BATCH) % net.classes).astype("int64")
batches = [
    (tf.constant(images[i : i + BATCH]), tf.constant(labels[i : i + BATCH]))
    for i in range(0, READY * BATCH, BATCH)
]
optimiser = keras.optimizers.Adam(1e-3)
optimiser.build(model.trainable_variables)


@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        value = loss(y, model(x, training=True))
    gradients = tape.gradient(value, model.trainable_variables)
    optimiser.apply_gradients(zip(gradients, model.trainable_variables))
    return value


measured = timed(lambda i: step(*batches[i % READY]).numpy(), steps)
figure("tensorflow", name, threads, "step", BATCH, measured)

model.compile("adam", loss)
times = max(1, steps // READY)
x, y = np.tile(images, (times, 1, 1, 1)), np.tile(labels, times)
model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
cpu, began = cpu_seconds(), time.perf_counter()
model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
measured = [None] * (times * READY), time.perf_counter() - began, cpu_seconds() - cpu
figure("keras", name, threads, "fit", BATCH, measured)

predict = tf.function(lambda x: model(x, training=False))
for batch, turns in PREDICTIONS.items():
    x = tf.constant(images[:batch])
    measured = timed(lambda _: predict(x).numpy(), turns)
    figure("tensorflow", name, threads, f"predict b{batch}", batch, measured)
for batch, turns in PREDICTIONS.items():
    x = images[:batch]
    # Takes tens of milliseconds, whatever the network.
    measured = timed(lambda _: model.predict(x, verbose=0), max(30, turns // 10))
    figure("keras", name, threads, f"predict b{batch}", batch, measured)
