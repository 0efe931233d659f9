"""Times changing pictures as seed document S1 does (shift, zoom, mirror, nearest) against Keras' generator.

    python -m venv keras && keras/bin/pip install tensorflow-cpu keras scipy
    python benchmarks/augment.py --keras-python keras/bin/python [--rounds 5]

Pictures of 256 x 256, one thread, pictures per CPU second; methods take turns, medians over rounds. Keras changes the
three equal channels that the document feeds it, as float32; a row with one channel stands beside it. Ours changes the
one grey channel and repeats it when the batch is put together; "to tensors" includes that, the order of the pictures
and normalisation: all that :func:`stenograde.train.pictures.batches.picture_batches` does. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import version

import cv2
import numpy as np
import torch
from workers import keras_worker

from stenograde.heap import keep_freed_memory
from stenograde.images.pictures import InputConfig
from stenograde.train.loop.fit_config import FitConfig
from stenograde.train.pictures.augment import PictureAugment, apply_changes, sample_changes
from stenograde.train.pictures.batches import BatchConfig, picture_batches

AUGMENT = PictureAugment(shift=0.1, zoom=0.1, flip="horizontal")
FIRST = "Keras ImageDataGenerator, 3 channels"


def changed(pictures: np.ndarray) -> None:
    """Change one channel."""
    apply_changes(sample_changes(np.random.default_rng(0), len(pictures), AUGMENT), pictures)


def batched(pictures: np.ndarray) -> None:
    """Change, put together and normalise batches of three channels."""
    fit = FitConfig(batch=32, workers=0)
    config = BatchConfig(InputConfig(3), augment=AUGMENT)
    for batch in picture_batches(pictures, np.zeros(len(pictures), np.int64), config, fit=fit).batches(
        0, 0, 1
    ):
        batch["input"].contiguous(memory_format=torch.channels_last)


OURS: dict[str, Callable[[np.ndarray], None]] = {
    "stenograde, 1 channel": changed,
    "stenograde, to tensors of 3 channels": batched,
}


def main() -> None:
    """Time all methods in turn and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keras-python", help="interpreter that has TensorFlow, Keras and SciPy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--pictures", type=int, default=640, help="per round, ours; Keras gets a fifth of them"
    )
    asked = parser.parse_args()
    keep_freed_memory()  # as fit does
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    pictures = np.random.default_rng(0).integers(0, 256, (asked.pictures, 256, 256)).astype(np.uint8)
    rates: dict[str, list[float]] = {}
    versions = {name: version(name) for name in ("stenograde", "opencv-python-headless", "torch", "numpy")}
    with ExitStack() as running:
        peers = []
        if asked.keras_python:
            peers = [
                running.enter_context(
                    keras_worker(asked.keras_python, ["--channels", str(n)], name=name, threads=1)
                )
                for n, name in ((3, FIRST), (1, "Keras ImageDataGenerator, 1 channel"))
            ]
            versions |= peers[0].hello
        for number in range(asked.rounds + 1):
            for peer in peers:
                got = peer.ask(f"augment {max(1, asked.pictures // 5 // 32)}")
                rates.setdefault(peer.name, []).append(got["images"] / got["cpu"])
            for name, method in OURS.items():
                start = time.process_time()
                method(pictures)
                rates.setdefault(name, []).append(asked.pictures / (time.process_time() - start))
            if number == 0:
                rates = {}  # warm-up
    print(f"{platform.machine()}, {asked.rounds} rounds, Python {platform.python_version()}, {versions}\n")
    print("| method | pictures per CPU second | range | ÷ first |\n|---|---:|---:|---:|")
    base = statistics.median(next(iter(rates.values())))
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"| {name} | {rate:.0f} | {min(values):.0f} to {max(values):.0f} | {rate / base:.1f} |")


if __name__ == "__main__":
    main()
