"""The third step: crops of every level, cut once, in one memory-mapped array for the whole cohort."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.config import as_plain
from stenograde.errors import StudyError
from stenograde.evaluate.rsna_metric import UNKNOWN
from stenograde.files import keep_settings
from stenograde.grades import Point
from stenograde.levels.cell_points import moved_levels
from stenograde.levels.crop import CropConfig, CropKind, crop_levels
from stenograde.terms import LUMBAR_MRI, Cell, Side
from stenograde.train.cohort.ingest import Ingested, StudyFiles
from stenograde.train.cohort.kept_arrays import CutJob, cut_each, kept_array
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.train.cohort.places import FoundPlaces
from stenograde.train.grader.crops import CropSet, as_stored
from stenograde.train.made_once import SETTINGS
from stenograde.workers import Progress

_PLACE = re.compile(r" at L\d/[LS]\d|(?<=the )(left|right) ")
"""What tells reasons of the same kind apart."""


@dataclass(frozen=True, eq=False)
class CohortCrops:
    """Crops of a cohort with their labels."""

    names: tuple[str, ...]
    """Of the studies, in the order of the arrays."""
    set: CropSet
    reasons: Mapping[str, int]
    """How many crops are absent, by reason."""
    key: str
    """Digest of all that the crops depend on."""

    def without(self, masked: Mapping[str, frozenset[str]]) -> CohortCrops:
        """Return the same crops without the labels of some cells, named by study."""
        severities = self.set.severities.copy()
        for name, cells in masked.items():
            if name not in self.names:
                continue
            for i, level in enumerate(LUMBAR_MRI.levels):
                for k, cell in enumerate(LUMBAR_MRI.at(level)):
                    if cell.name in cells:
                        severities[self.names.index(name), i, k] = UNKNOWN
        return replace(self, set=replace(self.set, severities=severities))


def cut_cohort(
    ingested: Ingested,
    places: FoundPlaces,
    points: Mapping[str, Mapping[Cell, Point]],
    out: Path,
    config: CropConfig,
    *,
    processes: int = 1,
    progress: Progress | None = None,
) -> CohortCrops:
    """Cut the crops of every study in which levels were found; those that were cut before are mapped.

    Parameters
    ----------
    ingested : Ingested
    places : FoundPlaces
    points : mapping
        Where the cells of each study lie: what its crops are cut about.
    out : Path
        Gets a folder ``crops-HASH`` for each setting and set of places, with ``crops.npy`` and ``present.npy``.
    config : CropConfig
    processes : int
    progress : callable, optional
        Counts the studies.

    A study that cannot be read any more has no crops, and the reason is counted.
    """
    studies = [one for one in ingested.studies if one.name in places.levels]
    settings = {
        "crops": as_plain(config),
        "studies": {one.name: ingested.records[one.name]["digest"] for one in studies},
        "places": {one.name: places.records(one.name) for one in studies},
        "points": {one.name: _named(points[one.name]) for one in studies},
    }
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    folder = out / f"crops-{key[:8]}"
    keep_settings(folder / SETTINGS, {"key": key, "crops": settings["crops"]}, what="crops")
    shape = (len(studies), len(LUMBAR_MRI.levels), len(Side), len(CropKind))
    crops = kept_array(folder / "crops.npy", (*shape, *config.shape), np.int8)
    present = kept_array(folder / "present.npy", shape, np.bool_)
    kept = KeptLines(folder / "cut.jsonl")
    jobs = [
        CutJob(
            one,
            moved_levels(places.levels[one.name], points[one.name]),
            places.series[one.name],
            config,
        )
        for one in studies
    ]
    cut_each(jobs, _cut, (crops, present), kept, what="crops cut", processes=processes, progress=progress)
    names, severities = tuple(one.name for one in studies), np.stack([_ranks(one) for one in studies])
    return CohortCrops(names, CropSet(crops, present, severities), _reasons(kept, names), key)


def _cut(job: CutJob) -> tuple[tuple[NDArray[np.generic], ...], dict[str, dict[str, int]]]:
    shape = (len(LUMBAR_MRI.levels), len(Side), len(CropKind))
    crops, present = np.zeros((*shape, *job.config.shape), np.int8), np.zeros(shape, bool)
    try:
        cut = crop_levels(job.read(), job.levels, job.config)
    except StudyError as exc:
        return (crops, present), {"why": {str(exc): int(np.prod(shape))}}
    for place, level in enumerate(cut.levels):
        at = LUMBAR_MRI.levels.index(level)
        crops[at], present[at] = as_stored(cut.values[place]), cut.present[place]
    why = dict(Counter(_PLACE.sub("", reason) for reason in cut.reasons.values()))
    missing = (len(LUMBAR_MRI.levels) - len(cut.levels)) * shape[1] * shape[2]
    why |= {"the level was not found": missing} if missing else {}
    return (crops, present), {"why": why}


def _reasons(kept: KeptLines, names: Sequence[str]) -> dict[str, int]:
    """Return how often each reason for an absent crop was given, the most frequent first."""
    reasons: Counter[str] = Counter()
    for name in names:
        reasons.update(kept.records[name]["why"])
    return dict(reasons.most_common())


def _ranks(one: StudyFiles) -> NDArray[np.int64]:
    return np.array(
        [
            [
                one.severities[cell].rank if cell in one.severities else UNKNOWN
                for cell in LUMBAR_MRI.at(level)
            ]
            for level in LUMBAR_MRI.levels
        ],
        np.int64,
    )


def _named(points: Mapping[Cell, Point]) -> dict[str, list[float]]:
    return {cell.name: [round(value, 3) for value in point] for cell, point in points.items()}
