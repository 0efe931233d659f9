"""What compressing the pixels that training reads again and again would save, and what decoding them would cost.

    python benchmarks/kept_pixels.py STUDY [--rounds 5]

The slices of a real study as the 16 bits of its files and as 8 bits, which is what training keeps, through the fast
codecs of Blosc 2 and through JPEG-LS; one thread, medians over rounds in which all take turns. Copying the plain
pixels is the row above them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import imagecodecs
import numpy as np

from stenograde.dicom.read.studies import read_study

LEVELS = {"lz4": 5, "zstd": 1, "blosclz": 5}
CHUNK = 8
"""Slices of one chunk: those that lie about a level."""

Method = tuple[list[bytes], Callable[[bytes], object]]


def chunks_of(study: Path) -> dict[str, list[np.ndarray]]:
    """Return the slices of all series, some in a chunk, in both depths."""
    deep, shallow = [], []
    for _, volume in read_study(study).volumes():
        stored = volume.pixels.astype(np.uint16)
        low, high = np.percentile(stored, (1, 99))
        grey = np.clip((stored - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
        for start in range(0, len(stored), CHUNK):
            deep.append(np.ascontiguousarray(stored[start : start + CHUNK]))
            shallow.append(np.ascontiguousarray(grey[start : start + CHUNK]))
    return {"16 bits": deep, "8 bits": shallow}


def methods_for(chunks: list[np.ndarray]) -> dict[str, Method]:
    """Return the chunks as each codec keeps them, and what decodes one."""
    plain = [chunk.tobytes() for chunk in chunks]
    methods: dict[str, Method] = {"plain, copied": (plain, bytearray)}
    for name, shuffle in product(LEVELS, ("shuffle", "bitshuffle")):
        encode = partial(
            imagecodecs.blosc2_encode,
            compressor=name,
            level=LEVELS[name],
            shuffle=shuffle,
            typesize=chunks[0].itemsize,
            numthreads=1,
        )
        decode = partial(imagecodecs.blosc2_decode, numthreads=1)
        methods[f"Blosc 2 {name}, {shuffle}"] = ([encode(one) for one in plain], decode)
    slices = [imagecodecs.jpegls_encode(one) for chunk in chunks for one in chunk]
    methods["JPEG-LS"] = (slices, imagecodecs.jpegls_decode)
    return methods


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print("| depth | kept | size, times smaller | decoded, GB/s |\n|---|---|---:|---:|")
    for depth, chunks in chunks_of(asked.study).items():
        methods = methods_for(chunks)
        n_bytes = sum(chunk.nbytes for chunk in chunks)
        rates: dict[str, list[float]] = {name: [] for name in methods}
        for _ in range(asked.rounds):
            for name, (kept, decode) in methods.items():
                start = time.perf_counter()
                for one in kept:
                    decode(one)
                rates[name].append(n_bytes / (time.perf_counter() - start) / 1e9)
        for name, (kept, _) in methods.items():
            times = n_bytes / sum(map(len, kept))
            print(f"| {depth} | {name} | {times:.2f} | {statistics.median(rates[name]):.2f} |")


if __name__ == "__main__":
    main()
