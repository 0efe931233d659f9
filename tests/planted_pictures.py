"""Made-up pictures with a planted sign, small enough to learn in seconds; recipes shrunk to match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stenograde.datasets.picture_files import ArrayPicture
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.terms import Level, Weighting

SIZE = 48
"""Rows and columns of a made-up picture."""

SEVERITIES = ("no", "mild", "serious")
LEVELS = (Level.L3_L4, Level.L4_L5, Level.L5_S1)

Draw = Callable[[np.random.Generator, int], np.ndarray]


def axial(rng: np.random.Generator, code: int) -> np.ndarray:
    """An axial slice whose bright canal is the smaller, the worse the code."""
    picture, rows, columns = _ground(rng)
    row, column = SIZE / 2 + rng.uniform(-4, 4, 2)
    inside = (rows - row) ** 2 + (columns - column) ** 2 < (14 - 5 * code) ** 2
    return np.where(inside, 230 + rng.normal(0, 4), picture)


def radiograph(rng: np.random.Generator, code: int) -> np.ndarray:
    """A neck on film: a bright column, and beside it a dark foramen that is a slit where it is narrowed."""
    picture, rows, columns = _ground(rng)
    picture += 70 * (abs(columns - SIZE / 2) < 8)
    row, column = SIZE / 2 + rng.uniform(-3, 3), SIZE / 2 + 13 + rng.uniform(-2, 2)
    hole = ((rows - row) / 8) ** 2 + ((columns - column) / (8 if code == 0 else 2)) ** 2 < 1
    return np.where(hole, 15, picture)


def sagittal(rng: np.random.Generator, code: int) -> np.ndarray:
    """A sagittal slice that shows the canal as a bright band only where it is Mid (code 1)."""
    picture, rows, columns = _ground(rng)
    band = abs(columns - SIZE / 2 - 4 * np.sin(rows / 12) - rng.uniform(-3, 3)) < 5
    return np.where(band & (code == 1), 235, picture)


def canal_set(patients: int, *, seed: int = 0) -> SampleSet:
    """Axial slices at three levels of each patient; severities of a patient differ."""
    rng = np.random.default_rng(seed)
    samples = []
    for patient in range(patients):
        for place, level in enumerate(LEVELS):
            code = (patient + place) % 3
            name = f"p{patient:02d}_{level.value}"
            samples.append(
                Sample(name, _stored(name, axial(rng, code)), str(patient), SEVERITIES[code], level=level)
            )
    return SampleSet("planted canals", SEVERITIES, tuple(samples), "made up")


def film_set(patients: int, *, seed: int = 0) -> SampleSet:
    """Two films of each patient, one of each class."""
    rng = np.random.default_rng(seed)
    samples = [
        Sample(
            f"{name}_{patient:02d}",
            _stored(f"{name}_{patient:02d}", radiograph(rng, code)),
            str(patient),
            name,
        )
        for patient in range(patients)
        for code, name in enumerate(("clear", "stenosis"))
    ]
    return SampleSet("planted films", ("clear", "stenosis"), tuple(samples), "made up")


def stack_set(patients: int, *, seed: int = 0, slices: int = 9) -> SampleSet:
    """Sagittal stacks of each patient, T1 and T2, the middle five slices Mid."""
    rng = np.random.default_rng(seed)
    samples = []
    for patient in range(patients):
        for weighting in (Weighting.T1, Weighting.T2):
            for place in range(slices):
                code = int(abs(place - slices // 2) <= 2)
                name = f"{weighting.value}/p{patient:02d}/{place}"
                facts = {"place": str(place), "slices": str(slices)}
                samples.append(
                    Sample(
                        name,
                        _stored(name, sagittal(rng, code)),
                        str(patient),
                        ("lateral", "mid")[code],
                        weighting=weighting,
                        facts=facts,
                    )
                )
    return SampleSet("planted stacks", ("lateral", "mid"), tuple(samples), "made up")


def write_class_folders(folder: Path, classes: Sequence[str], draw: Draw, *, patients: int) -> Path:
    """Write a picture of each class for each patient, ``p03_1.png`` in the folder of its class."""
    rng = np.random.default_rng(1)
    for patient in range(patients):
        for code, name in enumerate(classes):
            path = folder / name / f"p{patient:02d}_{code}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(draw(rng, code), 0, 255).astype(np.uint8)).save(path)
    return folder


TINY_NETS: dict[str, dict[str, Any]] = {
    "s0": {"encoder": {"widths": (16, 32), "depths": (1, 1)}, "heads": 4, "n_slots": 2},
    "s1": {
        "widths": (8, 16),
        "dense": (16,),
        "block_dropout": 0.0,
        "dense_dropout": 0.0,
        "norm_momentum": 0.1,
    },
    "s2": {"variant": "small", "small": {"widths": (16, 32), "depths": (1, 1)}, "localisation": (8,)},
    "s4": {"encoder": "own", "source": "own", "own": {"widths": (16, 32), "depths": (1, 1)}},
}
"""Networks of each recipe, shrunk."""


def tiny(name: str, **changes: Any) -> Any:
    """Return a recipe that ships, shrunk to 32 pixels, few epochs and splits.

    ``changes`` are settings of the fit.
    """
    from stenograde.experiments.pictures.protocols import with_repeats
    from stenograde.experiments.pictures.recipe import NetChoice, read_recipe
    from stenograde.experiments.recipes.read import overlaid

    recipe = read_recipe(name, "quick")
    switches = {key: value for key, value in recipe.net.settings.items() if isinstance(value, bool)}
    fit = {"epochs": 2, "batch": 8, "workers": 0, "precision": "32", "accelerator": "cpu", "patience": None}
    small = replace(
        recipe,
        net=NetChoice(recipe.net.name, overlaid(switches, TINY_NETS[name])),
        picture=replace(recipe.picture, size_px=(32, 32)),
        fit=replace(recipe.fit, **{**fit, **changes}),
    )
    return with_repeats(small, folds=2, repeats=3 if name == "s4" else 1)


def _ground(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    return rng.normal(80, 5, (SIZE, SIZE)), rows, columns


def _stored(name: str, picture: np.ndarray) -> ArrayPicture:
    return ArrayPicture(np.clip(picture, 0, 255).astype(np.float32), name)
