"""Crops of every level of a cohort, as a bundle's grader would cut them; kept on disk study by study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.rsna2024 import read_answered_studies
from stenograde.errors import StudyError
from stenograde.files import whole_file
from stenograde.levels.crop import CropConfig, CropKind, crop_levels
from stenograde.predict.bundle import Bundle
from stenograde.predict.locate import locate_study
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Side
from stenograde.train.grader.crops import CropSet, as_stored
from stenograde.train.made_once import keep_cut_settings
from stenograde.workers import Progress, within

CELLS_OF_LEVEL = tuple(
    tuple(k for k, cell in enumerate(LUMBAR_MRI.cells) if cell.level is level) for level in LUMBAR_MRI.levels
)
"""Places of each level's cells among all, in the order of :meth:`~stenograde.terms.Scheme.at`."""


def crop_cohort(
    data: Path,
    names: Sequence[str],
    bundle: Bundle,
    config: CropConfig,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> tuple[CropSet, tuple[str, ...]]:
    """Locate and cut the levels of every labelled study; those cut before are read.

    Parameters
    ----------
    data : Path
        Cohort in the layout of RSNA 2024.
    names : sequence of str
        Studies in the order that is wanted; others are left out.
    bundle : Bundle
        Its locator finds the levels. A level that it does not find has no crop.
    config : CropConfig
    folder : Path
        Gets one file per study.
    progress : callable, optional
        Counts the studies that are looked through.

    Returns
    -------
    crops : CropSet
    notes : tuple of str
        Which studies have no crops, and why.

    Raises
    ------
    ConfigError
        If the folder holds crops of other settings.
    DatasetError
        If the cohort cannot be read.
    """
    keep_cut_settings(folder, config, data, bundle, what="crops")
    if not all((folder / f"{name}.npz").is_file() for name in names):
        for one in read_answered_studies(data, notes=[], progress=within(progress, "crops")):
            path = folder / f"{one.name}.npz"
            if one.name in names and not path.is_file():
                crops, present, why = _crops_of(one.study, bundle, config)
                with whole_file(path) as file:
                    np.savez(file, crops=crops, present=present, severities=one.ranks, why=np.array(why))
    return _joined(folder, names)


def _crops_of(
    study: Study, bundle: Bundle, config: CropConfig
) -> tuple[NDArray[np.int8], NDArray[np.bool_], str]:
    """Return crops, shape (levels, sides, kinds, slices, rows, columns), presence, and why there are none, if so."""
    shape = (len(LUMBAR_MRI.levels), len(Side), len(CropKind))
    crops, present = np.zeros((*shape, *config.shape), np.int8), np.zeros(shape, bool)
    try:
        points = locate_study(study, bundle, whole=False).points.levels
        cut = crop_levels(study, points, config)
    except StudyError as exc:
        return crops, present, str(exc)
    for place, level in enumerate(cut.levels):
        at = LUMBAR_MRI.levels.index(level)
        crops[at], present[at] = as_stored(cut.values[place]), cut.present[place]
    return crops, present, ""


def _joined(folder: Path, names: Sequence[str]) -> tuple[CropSet, tuple[str, ...]]:
    crops, present, severities, notes = [], [], [], []
    for name in names:
        with np.load(folder / f"{name}.npz") as stored:
            crops.append(stored["crops"])
            present.append(stored["present"])
            severities.append(stored["severities"][np.array(CELLS_OF_LEVEL)])
            if str(stored["why"]):
                notes.append(f"{name} has no crops: {stored['why']}")
    return CropSet(np.stack(crops), np.stack(present), np.stack(severities)), tuple(notes)
