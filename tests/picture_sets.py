"""Small made-up sets of pictures for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stenograde.datasets.picture_files import ArrayPicture, PictureFile
from stenograde.datasets.samples import Sample, SampleSet

CLASSES = ("no", "mild", "serious")


def noise(seed: int = 0, shape: tuple[int, int] = (12, 10)) -> np.ndarray:
    """A picture of its own for each seed, uint8."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, seed: int = 0, shape: tuple[int, int] = (12, 10)) -> Path:
    """Write a picture and return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(seed, shape)).save(path, lossless=True)
    return path


def in_memory(labels: Sequence[str | None], patients: Sequence[str | None]) -> SampleSet:
    """Samples whose pictures do not matter."""
    blank = ArrayPicture(np.zeros((2, 2), np.float32), "blank")
    samples = [
        Sample(f"s{place}", blank, patient, label)
        for place, (label, patient) in enumerate(zip(labels, patients, strict=True))
    ]
    return SampleSet("made-up", CLASSES, tuple(samples))


def on_disk(folder: Path, n: int) -> SampleSet:
    """Samples of small PNG files."""
    paths = [save(folder / f"p{place}.png", place) for place in range(n)]
    samples = [Sample(path.stem, PictureFile(path), path.stem, CLASSES[0]) for path in paths]
    return SampleSet("on disk", CLASSES, tuple(samples))
