"""The peer of ``training.py`` and ``augment.py``: Keras 3 on TensorFlow or torch, run by an interpreter of its own.

Started by those two with ``--keras-python``; imports nothing of this project. ``KERAS_BACKEND`` names the backend.
Reads commands from standard input, one a line, and answers each with one line of JSON:

    train N       N batches by model.fit
    predict N     N batches by model.predict
    augment N     N batches by ImageDataGenerator.flow
    learn FILE    a whole small training on the pictures of an .npz; gives loss and accuracy on others
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

if keras.backend.backend() == "torch":
    import torch as backend
else:
    import tensorflow as backend


def five_blocks(size: int) -> keras.Model:
    """Return the network of seed document S1, layer by layer as in ``stenograde.nets.five_block_cnn``."""
    stack = [keras.Input((size, size, 3))]
    for width in (32, 64, 128, 256, 512):
        for _ in range(2):
            stack += [layers.Conv2D(width, 3, padding="same", activation="relu"), layers.BatchNormalization()]
        stack += [layers.MaxPooling2D(), layers.Dropout(0.25)]
    stack.append(layers.Flatten())
    for width in (512, 256):
        stack += [layers.Dense(width, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5)]
    stack.append(layers.Dense(3, activation="softmax", dtype="float32"))
    return keras.Sequential(stack)


def compiled(size: int, rate: float = 1e-3) -> keras.Model:
    """Return the network ready to be trained as the document says."""
    net = five_blocks(size)
    net.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return net


def learn(file: str) -> dict[str, float]:
    """Train a small network from scratch on stored pictures; keep the epoch of least validation loss."""
    stored = np.load(file)
    keras.utils.set_random_seed(int(stored["seed"]))
    as_input = {
        name: np.repeat(stored[name][..., None] / np.float32(255), 3, -1)
        for name in ("train", "valid", "test")
    }
    net = compiled(stored["train"].shape[1], float(stored["rate"]))
    net.fit(
        as_input["train"],
        stored["train_codes"],
        batch_size=int(stored["batch"]),
        epochs=int(stored["epochs"]),
        validation_data=(as_input["valid"], stored["valid_codes"]),
        callbacks=[keras.callbacks.EarlyStopping(patience=int(stored["epochs"]), restore_best_weights=True)],
        verbose=0,
    )
    loss, accuracy = net.evaluate(as_input["test"], stored["test_codes"], verbose=0)
    return {"loss": float(loss), "accuracy": float(accuracy)}


def use_threads(n: int) -> None:
    """Give the backend so many threads for one operation."""
    if keras.backend.backend() == "torch":
        backend.set_num_threads(n)
        return
    backend.config.threading.set_intra_op_parallelism_threads(n)
    backend.config.threading.set_inter_op_parallelism_threads(1 if n == 1 else 2)


def main() -> None:
    """Answer commands until there are none."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3, help="of pictures to augment")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_bfloat16"])
    asked = parser.parse_args()
    use_threads(asked.threads)
    keras.mixed_precision.set_global_policy(asked.precision)
    rng = np.random.default_rng(0)
    net, generator = None, None
    print(json.dumps({"keras": keras.__version__, backend.__name__: backend.__version__}), flush=True)
    for line in sys.stdin:
        what, _, argument = line.strip().partition(" ")
        if what == "learn":
            print(json.dumps(learn(argument)), flush=True)
            continue
        n = int(argument) * asked.batch
        channels = asked.channels if what == "augment" else 3
        pictures = rng.random((n, asked.size, asked.size, channels), np.float32)
        if what == "augment":
            generator = generator or backend.keras.preprocessing.image.ImageDataGenerator(
                width_shift_range=0.1,
                height_shift_range=0.1,
                zoom_range=0.1,
                horizontal_flip=True,
                fill_mode="nearest",
            )
            made = generator.flow(pictures, batch_size=asked.batch, shuffle=False)
        else:
            net = net or compiled(asked.size)
            codes = rng.integers(0, 3, n)
        wall, cpu = time.perf_counter(), time.process_time()
        if what == "train":
            net.fit(pictures, codes, batch_size=asked.batch, epochs=1, shuffle=False, verbose=0)
        elif what == "predict":
            net.predict(pictures, batch_size=asked.batch, verbose=0)
        else:
            for number in range(len(made)):
                made[number]
        answer = {"images": n, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        if net is not None:
            answer["parameters"] = net.count_params()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
