"""The graded discs of SPIDER as crops: each disc is found in each slice by a locator, turned upright and cut out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.marked_slice import MarkedSlice
from stenograde.datasets.spider_discs import LEVELS, SERIES, read_gradings, slices_by_series
from stenograde.errors import DatasetError
from stenograde.images.standardise import standardise
from stenograde.predict.bundle import Bundle
from stenograde.predict.locate import mark_picture
from stenograde.terms import Level
from stenograde.train.discs.net import GREY_PER_DEVIATION, MID_GREY
from stenograde.workers import Progress, counted

QUESTIONS: Final[Mapping[str, tuple[str, int]]] = {
    "narrowing": ("Disc narrowing", 1),
    "herniation": ("Disc herniation", 1),
    "bulging": ("Disc bulging", 1),
    "Pfirrmann 2 or more": ("Pfirrman grade", 2),
    "Pfirrmann 3 or more": ("Pfirrman grade", 3),
    "Pfirrmann 4 or more": ("Pfirrman grade", 4),
    "Pfirrmann 5": ("Pfirrman grade", 5),
}
"""What is asked of a disc: yes where this column of ``radiological_gradings.csv`` is at least this value."""


@dataclass(frozen=True)
class DiscCropConfig:
    """What is cut out around a disc."""

    rows: int = 64
    columns: int = 80
    pixel_mm: float = 0.75
    behind_mm: float = 4.0
    """How far the middle of a crop lies behind the middle of its disc, so that the canal is in it, mm."""

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 16 or self.pixel_mm <= 0:
            msg = f"crops need rows and columns of 16 or more and pixel_mm above 0, got {self}"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class DiscSet:
    """Graded discs with a crop of each series that shows them."""

    crops: NDArray[np.uint8]
    """Shape (discs, series, rows, columns)."""
    there: NDArray[np.bool_]
    """Shape (discs, series)."""
    answers: NDArray[np.float32]
    """1, 0, or NaN where nobody graded; shape (discs, questions)."""
    patients: tuple[str, ...]
    levels: tuple[Level, ...]
    notes: tuple[str, ...]
    """What was left out, and why."""

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that is learnt from."""
        names = "\n".join(self.names).encode()
        parts = (self.crops.tobytes(), self.there.tobytes(), self.answers.tobytes(), names)
        return hashlib.sha256(b"".join(parts)).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each disc, unique."""
        return tuple(f"{p}/{level.value}" for p, level in zip(self.patients, self.levels, strict=True))


def read_discs(
    data: Path, bundle: Bundle, config: DiscCropConfig, *, progress: Progress | None = None
) -> DiscSet:
    """Find and cut out the graded discs of every patient.

    Parameters
    ----------
    data : Path
        Holds ``spider_midsagittal`` with its gradings and, if at hand, ``spider_t2space_masks``; of the latter a
        patient's middle slice is taken.
    bundle : Bundle
        Its locator finds the discs.
    config : DiscCropConfig
    progress : callable, optional
        Counts the slices that are looked through.

    Raises
    ------
    DatasetError
        If tables or pictures are missing, or no graded disc is found in any slice.
    """
    graded: dict[str, dict[Level, NDArray[np.float32]]] = {}
    for (patient, level), said in read_gradings(data, {column for column, _ in QUESTIONS.values()}).items():
        graded.setdefault(patient, {})[level] = _answers(said)
    slices = [(series, one) for series, one in slices_by_series(data) if one.patient in graded]
    found: dict[tuple[str, Level], dict[int, NDArray[np.uint8]]] = {}
    n_missed = 0
    for series, one in counted(slices, f"slices of {data.name}", len(slices), progress):
        crops = cut_discs(one, bundle, config)
        for level in graded[one.patient]:
            if level in crops:
                found.setdefault((one.patient, level), {})[SERIES.index(series)] = crops[level]
            else:
                n_missed += 1
    if not found:
        msg = f"{data} must hold slices of graded patients, got none in which a graded disc was found"
        raise DatasetError(msg)
    keys = sorted(found, key=lambda key: (key[0], LEVELS.index(key[1])))
    crops_of = np.full((len(keys), len(SERIES), config.rows, config.columns), MID_GREY, np.uint8)
    there = np.zeros((len(keys), len(SERIES)), bool)
    for k, key in enumerate(keys):
        for series_number, crop in found[key].items():
            crops_of[k, series_number], there[k, series_number] = crop, True
    answers = np.stack([graded[patient][level] for patient, level in keys])
    notes = (f"{n_missed} graded discs of {len(slices)} slices were not found there",) if n_missed else ()
    return DiscSet(crops_of, there, answers, tuple(p for p, _ in keys), tuple(lv for _, lv in keys), notes)


def cut_discs(one: MarkedSlice, bundle: Bundle, config: DiscCropConfig) -> dict[Level, NDArray[np.uint8]]:
    """Return the crops of the discs that a locator finds in a slice, the spine upright in each."""
    points = mark_picture(one.picture, one.spacing_mm, bundle).points
    spacing = np.array(one.spacing_mm)
    centres = np.array([(row, column) for _, row, column in points]).reshape(-1, 2) * spacing
    grey = MID_GREY + GREY_PER_DEVIATION * standardise(one.picture)
    picture = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    known = {level.shown: level for level in LEVELS}
    crops = {}
    for place, (name, _, _) in enumerate(points):
        if name in known and len(points) > 1:
            down = _down(centres, place)
            crops[known[name]] = _cut(picture, spacing, centres[place], down, config)
    return crops


def _down(centres: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    """Direction of the spine at a disc, towards the feet, as a unit vector (rows, columns)."""
    along = centres[min(place + 1, len(centres) - 1)] - centres[max(place - 1, 0)]
    along = along if along[0] > 0 else -along
    return np.asarray(along / np.linalg.norm(along))


def _cut(
    picture: NDArray[np.uint8],
    spacing: NDArray[np.float64],
    centre_mm: NDArray[np.float64],
    down: NDArray[np.float64],
    config: DiscCropConfig,
) -> NDArray[np.uint8]:
    back = np.array([-down[1], down[0]])
    middle = np.array([(config.rows - 1) / 2, (config.columns - 1) / 2])
    # (row, column) steps of the crop, in pixels of the picture
    steps = np.stack([down, back], axis=1) * config.pixel_mm / spacing[:, None]
    start = (centre_mm + config.behind_mm * back) / spacing - steps @ middle
    matrix = np.array([[steps[1, 1], steps[1, 0], start[1]], [steps[0, 1], steps[0, 0], start[0]]])
    return np.asarray(
        cv2.warpAffine(
            picture,
            matrix,
            (config.columns, config.rows),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def _answers(said: Mapping[str, float | None]) -> NDArray[np.float32]:
    """Return 1, 0 or NaN for each question."""
    graded = [(said[column], least) for column, least in QUESTIONS.values()]
    return np.array([np.nan if one is None else float(one >= least) for one, least in graded], np.float32)
