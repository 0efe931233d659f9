"""Sagittal slices of phantoms with their true masks, on disk, made once: the locator learns from them too.

SPIDER has whole masks of one sequence alone; phantoms have them in every contrast, T1 and STIR too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.marked_slice import MarkedSlice
from stenograde.files import keep_settings
from stenograde.phantom import (
    ContrastMode,
    Phantom,
    Population,
    ProtocolMix,
    label_series,
    make_patient,
    plan_study,
    render_series,
)
from stenograde.phantom.scanner.acquisition import SeriesPlan
from stenograde.predict.locate import LOCATED_IN
from stenograde.terms import Level
from stenograde.train.made_once import SETTINGS, make_files, protocol_in, settings_of
from stenograde.workers import Progress

NEAR_MIDLINE_MM = 12.0
"""Slices this far beside the canal are drawn about a third as often as those through it, mm."""

ANYWHERE = 0.1
"""How often slices far beside the canal are drawn, against those through it."""

_SALT = 31
"""Keeps these patients apart from those of cohorts and of the grader's crops with the same seed."""


@dataclass(frozen=True)
class PhantomSlicesConfig:
    """Which phantoms, and how many slices of each."""

    patients: int = 160
    """0 for none."""
    slices: int = 3
    """Slices of each sagittal series of a phantom."""
    seed: int = 4
    contrasts: tuple[ContrastMode, ...] = (ContrastMode.RANDOMISED, ContrastMode.CLINICAL)
    """Each patient's contrast is drawn from these, with equal odds."""
    mix: ProtocolMix = field(default_factory=ProtocolMix)
    population: Population = field(default_factory=Population)
    worse_by: float = 0.8
    """Patients are worse than the population by this many standard deviations."""
    layers: int = 2
    """Planes painted through the thickness of a slice."""

    def __post_init__(self) -> None:
        if self.patients < 0 or self.slices < 1 or self.layers < 1 or not self.contrasts:
            msg = (
                f"phantom slices need patients of 0 or more, slices and layers of 1 or more and contrasts, got "
                f"{self.patients}, {self.slices}, {self.layers}, {self.contrasts}"
            )
            raise ValueError(msg)


def make_phantom_slices(
    folder: Path, config: PhantomSlicesConfig, *, workers: int = 0, progress: Progress | None = None
) -> list[MarkedSlice]:
    """Make the slices of phantoms that are still to be made in ``folder``, one file per patient, and read them all.

    With 1 worker or fewer, this process renders.

    Raises
    ------
    ConfigError
        If the folder holds slices made by other settings.
    """
    # more patients may be asked for later
    keep_settings(folder / SETTINGS, settings_of(replace(config, patients=0)), what="slices")
    make = partial(_arrays, config=config)
    files = make_files(folder, config.patients, make, workers=workers, progress=progress)
    return [one for number, file in enumerate(files) for one in _stored(number, file)]


def _arrays(number: int, config: PhantomSlicesConfig) -> dict[str, NDArray[Any]]:
    pictures, masks, pixel_mm = patient_slices(number, config)
    return {"pictures": pictures, "masks": masks, "pixel_mm": np.array(pixel_mm)}


def patient_slices(
    number: int, config: PhantomSlicesConfig
) -> tuple[NDArray[np.uint16], NDArray[np.uint8], float]:
    """Return slices of the sagittal series of one phantom.

    Returns
    -------
    pictures : ndarray of shape (n, rows, columns), uint16
        Slices of T1, then of T2 or STIR.
    masks : ndarray of shape (n, rows, columns), uint8
        As :func:`~stenograde.phantom.label_series` gives them.
    pixel_mm : float
    """
    entropy = [config.seed, number, _SALT]
    own_seed, protocol_seed, choice_seed = np.random.SeedSequence(entropy).generate_state(3)
    phantom = make_patient(int(own_seed), population=config.population.worse(config.worse_by))
    rng = np.random.default_rng(protocol_seed)
    protocol = protocol_in(rng, config.contrasts, config.mix, layers=config.layers)
    choice = np.random.default_rng(choice_seed)
    pictures, masks = [], []
    for plan in plan_study(phantom, replace(protocol, missing=frozenset())):
        if plan.role in LOCATED_IN:
            chosen = _chosen(phantom, plan, config.slices, choice)
            pictures.append(render_series(phantom, chosen, layers=protocol.layers, rng=choice))
            masks.append(label_series(phantom, chosen))
    pixel_mm = protocol.sagittal_field_mm / protocol.sagittal_matrix
    return np.concatenate(pictures), np.concatenate(masks), pixel_mm


def _chosen(phantom: Phantom, plan: SeriesPlan, count: int, rng: np.random.Generator) -> SeriesPlan:
    """Return a series of some of its slices, those near the midline more often."""
    middle = np.array(phantom.levels[Level.L3_L4].canal_centre)
    off_mm = np.array([plane.index(middle)[0] for plane in plan.planes])
    odds = np.exp(-((off_mm / NEAR_MIDLINE_MM) ** 2)) + ANYWHERE
    picked = rng.choice(len(off_mm), min(count, len(off_mm)), replace=False, p=odds / odds.sum())
    return replace(plan, planes=tuple(plan.planes[k] for k in sorted(picked)))


def _stored(number: int, file: Path) -> list[MarkedSlice]:
    with np.load(file) as stored:
        pictures, masks, pixel_mm = stored["pictures"], stored["masks"], float(stored["pixel_mm"])
    patient = f"phantom-{number}"
    return [
        MarkedSlice(f"{patient}_{k}", patient, picture.astype(np.float32), mask, (pixel_mm, pixel_mm))
        for k, (picture, mask) in enumerate(zip(pictures, masks, strict=True))
    ]
