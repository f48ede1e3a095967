"""The whole job with Keras: folders of pictures in, accuracy of the trained `cnn35` on the test out.

usage: job_keras.py DATA EPOCHS THREADS SEED [CHANNELS]

DATA holds train/CLASS/*.png and test/CLASS/*.png. Prints one line of JSON; wall time, CPU time and
memory are measured from outside (usage.py), with the start of the interpreter.
"""

import dataclasses
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
from tensorflow import keras

from figures import BATCH
from networks import network
from networks_keras import build

data = sys.argv[1]
epochs, threads, seed = map(int, sys.argv[2:5])
channels = int(sys.argv[5]) if sys.argv[5:] else 3
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
keras.utils.set_random_seed(seed)
net = network("cnn35")


def pictures(split):
    found = keras.utils.image_dataset_from_directory(
        os.path.join(data, split),
        image_size=(net.side, net.side),
        color_mode="rgb" if channels == 3 else "grayscale",
        batch_size=None,
        shuffle=False,
        verbose=False,
    )
    return found, len(found.class_names)


train, classes = pictures("train")
test, _ = pictures("test")
# Decoded once and kept, the pictures in a new order in each epoch: what cvops does.
train = train.cache().shuffle(len(train), seed=seed).batch(BATCH).prefetch(2)
test = test.batch(BATCH).prefetch(2)
net = dataclasses.replace(net, channels=channels, classes=classes)
model = build(net, before=[keras.layers.Rescaling(1 / 255)])
model.compile(
    "adam",
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train, epochs=epochs, verbose=0)
loss, accuracy = model.evaluate(test, verbose=0)
print(json.dumps({"accuracy": round(accuracy, 6), "log_loss": round(loss, 6)}))
