"""The second step: the levels of every study are found once, and measured against the experts' marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.datasets.rsna2024_marks import level_points, marks_of, placed
from stenograde.errors import DatasetError, StudyError
from stenograde.grades import Point
from stenograde.levels.points import LevelPoint, foramen_middles
from stenograde.predict.bundle import Bundle, load_bundle
from stenograde.predict.locate import locate_study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side
from stenograde.train.cohort.ingest import Ingested, StudyFiles, the_study
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.train.made_once import SETTINGS, keep_settings
from stenograde.workers import Progress, counted, in_processes

RENAMED_NEARER_MM: Final = 12.0
"""Levels are renamed by the experts' marks where they lie nearer to those of the next level than this, on average."""

LEAST_MARKED: Final = 3
"""Marked levels that are needed to rename by."""


@dataclass(frozen=True, eq=False)
class FoundLevel:
    """Where a level was found; a :class:`~stenograde.levels.crop.PlacedLevel`."""

    level: Level
    canal_centre: Point
    foramina: Mapping[Side, Point]
    left: NDArray[np.float64]
    back: NDArray[np.float64]
    up: NDArray[np.float64]

    @property
    def foramen_middles(self) -> Mapping[Side, Point]:
        """Middle of each foramen."""
        return foramen_middles(self.level, self.foramina, self.left, self.back, self.up)


@dataclass(frozen=True, eq=False)
class FoundPlaces:
    """Where the levels of a cohort lie."""

    levels: Mapping[str, Mapping[Level, FoundLevel]]
    """By study; without those in which none was found."""
    why: Mapping[str, str]
    """Why nothing was found in a study."""
    away_mm: Mapping[Condition, tuple[float, ...]]
    """Distance of the points of cells to the experts' marks, over all studies."""
    renamed: tuple[str, ...]
    """Studies whose levels are named as the experts' marks name them, against what was seen."""

    def summary(self) -> list[tuple[str, str]]:
        """Return lines for a table: what, and how much."""
        rows = [
            (
                f"{condition.shown}, mm from the experts' marks",
                f"mean {np.mean(away):.1f}, 95 % within {np.percentile(away, 95):.1f}, {len(away)} marks",
            )
            for condition, away in self.away_mm.items()
            if away
        ]
        rows.append(("studies in which nothing was found", str(len(self.why))))
        rows.append(("studies renamed by the marks", str(len(self.renamed))))
        return rows


def find_places(
    ingested: Ingested,
    out: Path,
    bundle: Bundle,
    *,
    processes: int = 1,
    progress: Progress | None = None,
) -> FoundPlaces:
    """Find the levels of every study with a bundle's locator; studies that were done before are not read again.

    Parameters
    ----------
    ingested : Ingested
    out : Path
        Gets ``places-HASH.jsonl``, one for each locator.
    bundle : Bundle
    processes : int
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    DatasetError
        If no level was found in any study.
    """
    folder = out / f"places-{bundle.table.locator.onnx.sha256[:8]}"
    keep_settings(folder / SETTINGS, {"locator": bundle.table.locator.onnx.sha256}, what="places")
    kept = KeptLines(folder / "places.jsonl")
    missing = [one for one in ingested.studies if one.name not in kept.records]
    n = len(ingested.studies)
    done = in_processes(_Finder(bundle.folder), missing, processes)
    for record in counted(done, "levels found", n, progress, before=n - len(missing)):
        kept.add(record)
    return _joined([kept.records[one.name] for one in ingested.studies])


@dataclass(frozen=True)
class _Finder:
    """Finds levels; may be sent to another process."""

    bundle: Path

    def __call__(self, one: StudyFiles) -> dict[str, Any]:
        return found_in(one, _bundle(self.bundle))


_BUNDLES: dict[Path, Bundle] = {}


def _bundle(folder: Path) -> Bundle:
    """Return a bundle that is loaded once for each process."""
    if folder not in _BUNDLES:
        _BUNDLES[folder] = load_bundle(folder)
    return _BUNDLES[folder]


def found_in(one: StudyFiles, bundle: Bundle) -> dict[str, Any]:
    """Return where the levels of one study lie, as JSON holds it."""
    record: dict[str, Any] = {"name": one.name, "why": "", "renamed": 0, "levels": {}, "away_mm": {}}
    try:
        patient = the_study(one)
        located = locate_study(patient.study, bundle).points.levels
        marks = placed(patient, marks_of(one.name, one.marks))
    except (StudyError, DatasetError) as exc:
        return {**record, "why": str(exc)}
    shift = _renaming({level: found.canal_centre for level, found in located.items()}, level_points(marks))
    order = LUMBAR_MRI.levels
    for level, found in located.items():
        place = order.index(level) + shift
        if 0 <= place < len(order):
            record["levels"][order[place].value] = _plain(found)
            for cell in LUMBAR_MRI.at(level):
                named = Cell(cell.condition, order[place], cell.side)
                if named in marks.points:
                    record["away_mm"][named.name] = geometry.distance_mm(
                        found.point_of(cell), marks.points[named]
                    )
    return {**record, "renamed": shift}


def _renaming(found: Mapping[Level, Point], marked: Mapping[Level, Point]) -> int:
    """By how many levels what was found must be renamed to be as it was marked."""
    order = LUMBAR_MRI.levels
    away: dict[int, float] = {}
    for shift in (0, -1, 1):
        pairs = [
            (found[level], marked[order[place]])
            for level in found
            if 0 <= (place := order.index(level) + shift) < len(order) and order[place] in marked
        ]
        if len(pairs) >= LEAST_MARKED:
            away[shift] = float(np.mean([geometry.distance_mm(a, b) for a, b in pairs]))
    if not away or 0 not in away or away[0] <= RENAMED_NEARER_MM:
        return 0
    best = min(away, key=lambda shift: away[shift])
    return best if away[best] <= RENAMED_NEARER_MM else 0


def _plain(found: LevelPoint) -> dict[str, Any]:
    return {
        "canal_centre": list(found.canal_centre),
        "foramina": {side.value: list(found.foramina[side]) for side in Side},
        "left": found.left.tolist(),
        "back": found.back.tolist(),
        "up": found.up.tolist(),
    }


def _joined(records: list[dict[str, Any]]) -> FoundPlaces:
    away: dict[Condition, list[float]] = {condition: [] for condition in Condition}
    for record in records:
        for name, mm in record["away_mm"].items():
            away[Cell.parse(name).condition].append(mm)
    levels = {
        record["name"]: {
            Level.parse(name): _found_level(Level.parse(name), stored)
            for name, stored in record["levels"].items()
        }
        for record in records
        if record["levels"]
    }
    why = {
        record["name"]: record["why"] or "no level was found" for record in records if not record["levels"]
    }
    if not levels:
        name, first = next(iter(why.items()))
        msg = f"levels must be found in at least one study, got none; {name}: {first}"
        raise DatasetError(msg)
    renamed = tuple(record["name"] for record in records if record["renamed"])
    return FoundPlaces(levels, why, {key: tuple(value) for key, value in away.items()}, renamed)


def _found_level(level: Level, stored: Mapping[str, Any]) -> FoundLevel:
    def point(values: list[float]) -> Point:
        return values[0], values[1], values[2]

    return FoundLevel(
        level,
        point(stored["canal_centre"]),
        {side: point(stored["foramina"][side.value]) for side in Side},
        *(np.array(stored[axis]) for axis in ("left", "back", "up")),
    )
