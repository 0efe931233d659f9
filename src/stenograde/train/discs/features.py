"""The graded discs of SPIDER as fixed features of the slices that show them, found and cut out as a study's are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.spider_discs import DiscKey, read_gradings, slices_by_series
from stenograde.errors import DatasetError
from stenograde.grades import DiscFinding
from stenograde.levels.disc_crop import DiscCropConfig, cut_discs, to_scale
from stenograde.predict.bundle import Bundle
from stenograde.predict.disc_net import SERIES
from stenograde.predict.discs import ABOVE
from stenograde.predict.locate import mark_picture
from stenograde.predict.middle_maps import MiddleMapsEntry, features_of
from stenograde.terms import LUMBAR_MRI, Level
from stenograde.workers import Progress, counted

if TYPE_CHECKING:
    import onnxruntime

QUESTIONS: Final[Mapping[str, tuple[str, int]]] = {
    DiscFinding.NARROWING.value: ("Disc narrowing", 1),
    DiscFinding.HERNIATION.value: ("Disc herniation", 1),
    DiscFinding.BULGING.value: ("Disc bulging", 1),
    DiscFinding.SPONDYLOLISTHESIS.value: ("Spondylolisthesis", 1),
    DiscFinding.MODIC_CHANGE.value: ("Modic", 1),
    DiscFinding.UPPER_END_PLATE.value: ("UP endplate", 1),
    DiscFinding.LOWER_END_PLATE.value: ("LOW endplate", 1),
    **{name: ("Pfirrman grade", grade) for grade, name in enumerate(ABOVE, start=2)},
}
"""What is asked of a disc: yes where this column of ``radiological_gradings.csv`` is at least this value."""

_READ_AS: Final = {"t1": "t1", "t2": "t2", "t2_space": "t2"}
"""Series of the set, best first, by the series that heads look at."""


@dataclass(frozen=True, eq=False)
class DiscTable:
    """Graded discs with the features of each series that shows them."""

    features: NDArray[np.float32]
    """Shape (discs, series, features); what is not there means nothing."""
    there: NDArray[np.bool_]
    """Shape (discs, series)."""
    answers: NDArray[np.float64]
    """1, 0, or NaN where nobody graded; shape (discs, questions)."""
    levels: NDArray[np.int64]
    """Place of each disc's level in the scheme, shape (discs,)."""
    patients: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was left out, and why."""
    crops: NDArray[np.float32] | None = None
    """What a net looks at, where there is one; shape (discs, series, rows, columns)."""

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each disc, unique."""
        shown = [LUMBAR_MRI.levels[place].value for place in self.levels]
        return tuple(f"{patient}/{level}" for patient, level in zip(self.patients, shown, strict=True))

    @property
    def digest(self) -> str:
        """SHA-256 of everything that is learnt from."""
        arrays = (self.features, self.there, self.answers, self.levels, self.crops)
        parts = (b"" if one is None else np.ascontiguousarray(one).tobytes() for one in arrays)
        return hashlib.sha256(b"".join((*parts, "\n".join(self.names).encode()))).hexdigest()

    def with_series(self, series: Sequence[str]) -> NDArray[np.bool_]:
        """Say of each disc whether all of some series show it."""
        return np.asarray(self.there[:, [SERIES.index(one) for one in series]].all(axis=1))


def read_disc_table(
    data: Path,
    bundle: Bundle,
    maps: tuple[onnxruntime.InferenceSession, MiddleMapsEntry],
    views: Sequence[DiscCropConfig],
    grid: tuple[int, int],
    *,
    look: DiscCropConfig | None = None,
    progress: Progress | None = None,
) -> DiscTable:
    """Find the graded discs of every patient, take their features, and keep what a net looks at.

    Parameters
    ----------
    data : Path
        See :mod:`stenograde.datasets.spider_discs`.
    bundle : Bundle
        Its locator finds the discs.
    maps : tuple of InferenceSession and MiddleMapsEntry
    views : sequence of DiscCropConfig
    grid : tuple of int
    look : DiscCropConfig, optional
        Crops that a net looks at; without, none are kept.
    progress : callable, optional
        Counts the slices that are looked through.

    Raises
    ------
    DatasetError
        If tables or pictures are missing, or no graded disc is found in any slice.
    """
    graded = read_gradings(data, sorted({column for column, _ in QUESTIONS.values()}))
    patients = {patient for patient, _ in graded}
    slices = [one for one in slices_by_series(data) if one[1].patient in patients]
    slices.sort(key=lambda one: tuple(_READ_AS).index(one[0]))  # the first of a kind is kept
    found: dict[DiscKey, dict[int, _Shown]] = {}
    n_missed = 0
    for name, one in counted(slices, f"slices of {data.name}", len(slices), progress):
        crops, looks = _crops(one.picture, one.spacing_mm, bundle, views, look)
        at = [level for level in crops if (one.patient, level) in graded]
        n_missed += sum(patient == one.patient and level not in crops for patient, level in graded)
        if not at:
            continue
        seen = features_of(*maps, np.concatenate([crops[level] for level in at]), grid)
        place = SERIES.index(_READ_AS[name])
        for level, features in zip(at, seen.reshape(len(at), -1), strict=True):
            shown = features, None if look is None else looks[level]
            found.setdefault((one.patient, level), {}).setdefault(place, shown)
    if not found:
        msg = f"{data} must hold slices of graded patients, got none in which a graded disc was found"
        raise DatasetError(msg)
    notes = (f"{n_missed} graded discs of {len(slices)} slices were not found there",) if n_missed else ()
    return _table(found, graded, notes)


_Shown = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Features of a disc in one series, and what a net looks at there."""


def _table(
    found: Mapping[DiscKey, Mapping[int, _Shown]],
    graded: Mapping[DiscKey, Mapping[str, float | None]],
    notes: tuple[str, ...],
) -> DiscTable:
    keys = sorted(found, key=lambda key: (key[0], LUMBAR_MRI.levels.index(key[1])))
    first, look = next(iter(found[keys[0]].values()))
    features = np.zeros((len(keys), len(SERIES), len(first)), np.float32)
    crops = None if look is None else np.zeros((len(keys), len(SERIES), *look.shape), np.float32)
    there = np.zeros((len(keys), len(SERIES)), bool)
    for k, key in enumerate(keys):
        for place, (vector, seen) in found[key].items():
            features[k, place], there[k, place] = vector, True
            if crops is not None:
                crops[k, place] = seen
    return DiscTable(
        features,
        there,
        np.stack([_answers(graded[key]) for key in keys]),
        np.array([LUMBAR_MRI.levels.index(level) for _, level in keys]),
        tuple(patient for patient, _ in keys),
        notes,
        crops,
    )


def _crops(
    picture: NDArray[np.float32],
    spacing_mm: tuple[float, float],
    bundle: Bundle,
    views: Sequence[DiscCropConfig],
    look: DiscCropConfig | None,
) -> tuple[dict[Level, NDArray[np.float32]], dict[Level, NDArray[np.float32]]]:
    """Return the crops of each lumbar disc of a slice, shape (views, rows, columns), and what a net looks at."""
    points = mark_picture(picture, spacing_mm, bundle).points
    if len(points) < 2:
        return {}, {}
    centres = [(row, column) for _, row, column in points]
    scaled = to_scale(picture)
    crops = np.stack([cut_discs(scaled, spacing_mm, centres, view) for view in views], axis=1)
    known = {level.shown: level for level in LUMBAR_MRI.levels}
    places = {known[name]: k for k, (name, _, _) in enumerate(points) if name in known}
    of_views = {level: crops[k] for level, k in places.items()}
    if look is None:
        return of_views, {}
    looks = cut_discs(scaled, spacing_mm, centres, look)
    return of_views, {level: looks[k] for level, k in places.items()}


def _answers(said: Mapping[str, float | None]) -> NDArray[np.float64]:
    """Return 1, 0 or NaN for each question."""
    graded = [(said[column], least) for column, least in QUESTIONS.values()]
    return np.array([np.nan if one is None else float(one >= least) for one, least in graded])
