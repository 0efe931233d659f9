"""The second step: the levels of every study are found once, and measured against the experts' marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.datasets.rsna2024_marks import level_points, marks_of, placed
from stenograde.dicom.read.pixels import check_pixels
from stenograde.errors import DatasetError, StudyError
from stenograde.files import keep_settings
from stenograde.grades import Point
from stenograde.levels.cell_points import PointedLevel, axes_of, point_of
from stenograde.levels.frames_of_reference import keep_reachable
from stenograde.levels.point_offsets import PointOffsets, fit_offsets, moved_by, offset_of
from stenograde.predict.bundle import Bundle, load_bundle
from stenograde.predict.locate import locate_study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Side
from stenograde.train.cohort.ingest import Ingested, StudyFiles, the_study
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.train.made_once import SETTINGS
from stenograde.workers import Progress, counted, in_processes

RENAMED_NEARER_MM: Final = 12.0
"""Levels are renamed by the experts' marks where they lie nearer to those of the next level than this, on average."""

LEAST_STUDIES: Final = 20
"""Studies with marks from which it is learnt where experts mark points."""

FOLDS: Final = 5
"""Of studies, to tell how near points are that were moved as other studies' marks say."""

LEAST_MARKED: Final = 3
"""Marked levels that are needed to rename by."""

_FORMAT: Final = 3
"""Of the records; those of another are not read."""


@dataclass(frozen=True, eq=False)
class FoundLevel:
    """Where a level was found; a :class:`~stenograde.levels.cell_points.PointedLevel`."""

    level: Level
    canal_centre: Point
    foramina: Mapping[Side, Point]
    foramen_middles: Mapping[Side, Point]
    recesses: Mapping[Side, Point]
    left: NDArray[np.float64]
    back: NDArray[np.float64]
    up: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoundPlaces:
    """Where the levels of a cohort lie."""

    levels: Mapping[str, Mapping[Level, FoundLevel]]
    """By study; without those in which none was found."""
    marks: Mapping[str, Mapping[Cell, Point]]
    """The experts' marks on them, by study; none where there are none."""
    why: Mapping[str, str]
    """Why nothing was found in a study."""
    offsets: PointOffsets
    """Where the experts mark points beside ours; none where fewer than :data:`LEAST_STUDIES` have marks."""
    away_mm: Mapping[Condition, tuple[float, ...]]
    """Distance of the points of cells to the experts' marks, over all studies."""
    moved_away_mm: Mapping[Condition, tuple[float, ...]]
    """The same of points moved by offsets that were learnt from other studies; empty where none are."""
    series: Mapping[str, tuple[str, ...]]
    """SeriesInstanceUIDs of each study in which its levels can be found again: what its crops are cut from."""
    renamed: tuple[str, ...]
    """Studies whose levels are named as the experts' marks name them, against what was seen."""

    def records(self, study: str) -> dict[str, Any]:
        """Return the levels of a study as JSON holds them."""
        return {level.value: as_record(found) for level, found in self.levels[study].items()}

    def summary(self) -> list[tuple[str, str]]:
        """Return lines for a table: what, and how much."""
        rows = []
        for condition, away in self.away_mm.items():
            if away:
                words = (
                    f"mean {np.mean(away):.1f}, 95 % within {np.percentile(away, 95):.1f}, {len(away)} marks"
                )
                moved = self.moved_away_mm.get(condition)
                if moved:
                    words += f"; moved as other studies' marks say {np.mean(moved):.1f}, {np.percentile(moved, 95):.1f}"
                rows.append((f"{condition.shown}, mm from the experts' marks", words))
        rows.append(("studies in which nothing was found", str(len(self.why))))
        rows.append(("studies renamed by the marks: trained on, not scored", str(len(self.renamed))))
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
        Gets a folder ``places-HASH``, one for each locator.
    bundle : Bundle
    processes : int
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    DatasetError
        If no level was found in any study.
    """
    folder = out / f"places-{bundle.table.locator.onnx.sha256[:8]}-{_FORMAT}"
    keep_settings(folder / SETTINGS, {"locator": bundle.table.locator.onnx.sha256}, what="places")
    kept = KeptLines(folder / "places.jsonl")
    digests = {one.name: ingested.records[one.name]["digest"] for one in ingested.studies}
    missing = [
        one for one in ingested.studies if kept.records.get(one.name, {}).get("digest") != digests[one.name]
    ]
    n = len(ingested.studies)
    done = in_processes(_Finder(bundle.folder), missing, processes)
    for record in counted(done, "levels found", n, progress, before=n - len(missing)):
        kept.add({**record, "digest": digests[record["name"]]})
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
    record: dict[str, Any] = {"name": one.name, "why": "", "renamed": 0, "levels": {}, "marks": {}}
    try:
        patient = the_study(one)
        found_study = locate_study(patient.study, bundle, whole=False)
        located = found_study.points.levels
        kept, _ = keep_reachable(check_pixels(patient.study), found_study.series, found_study.points)
        marks = placed(patient, marks_of(one.name, one.marks))
    except (StudyError, DatasetError) as exc:
        return {**record, "why": str(exc)}
    shift = renaming({level: found.canal_centre for level, found in located.items()}, level_points(marks))
    order = LUMBAR_MRI.levels
    for level, found in located.items():
        place = order.index(level) + shift
        if 0 <= place < len(order):
            record["levels"][order[place].value] = as_record(found)
            for cell in LUMBAR_MRI.at(level):
                named = Cell(cell.condition, order[place], cell.side)
                if named in marks.points:
                    point, mark = point_of(found, cell), marks.points[named]
                    record["marks"][named.name] = offset_of(mark, point, cell.side, axes_of(found))
    return {**record, "renamed": shift, "series": [series.uid for series in kept.series]}


def renaming(found: Mapping[Level, Point], marked: Mapping[Level, Point]) -> int:
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


def as_record(found: PointedLevel) -> dict[str, Any]:
    """Return a level as JSON holds it."""
    return {
        "canal_centre": list(found.canal_centre),
        "foramina": {side.value: list(found.foramina[side]) for side in Side},
        "foramen_middles": {side.value: list(found.foramen_middles[side]) for side in Side},
        "recesses": {side.value: list(found.recesses[side]) for side in Side},
        "left": found.left.tolist(),
        "back": found.back.tolist(),
        "up": found.up.tolist(),
    }


def _joined(records: list[dict[str, Any]]) -> FoundPlaces:
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
    marks = [
        [(Cell.parse(name), tuple(offset)) for name, offset in record["marks"].items()] for record in records
    ]
    offsets, moved = learnt([of_study for of_study in marks if of_study])
    return FoundPlaces(
        levels,
        _placed_marks(levels, dict(zip((record["name"] for record in records), marks, strict=True))),
        why,
        offsets,
        _lengths(list(chain.from_iterable(marks))),
        _lengths(moved),
        {record["name"]: tuple(record["series"]) for record in records if record["levels"]},
        renamed,
    )


def _placed_marks(
    levels: Mapping[str, Mapping[Level, FoundLevel]], marks: Mapping[str, Marks]
) -> dict[str, dict[Cell, Point]]:
    placed: dict[str, dict[Cell, Point]] = {}
    for name, of_study in levels.items():
        for cell, offset in marks[name]:
            found = of_study[cell.level]
            at = moved_by(offset, point_of(found, cell), cell.side, axes_of(found))
            placed.setdefault(name, {})[cell] = at
    return placed


Marks = list[tuple[Cell, tuple[float, ...]]]
"""Cells with what lies between our points and the marks, by :func:`~stenograde.levels.point_offsets.offset_of`."""


def learnt(marks: list[Marks]) -> tuple[PointOffsets, Marks]:
    """Return offsets learnt from all studies, and what is left of each study's by those learnt from other studies."""
    if len(marks) < LEAST_STUDIES:
        return PointOffsets(), []
    left: Marks = []
    for fold in range(FOLDS):
        others = fit_offsets(one for k, of_study in enumerate(marks) if k % FOLDS != fold for one in of_study)
        for cell, offset in (one for of_study in marks[fold::FOLDS] for one in of_study):
            away = offset_of(*_pair(cell, offset, others), cell.side, np.eye(3))
            left.append((cell, away))
    return fit_offsets(one for of_study in marks for one in of_study), left


def _pair(cell: Cell, offset: tuple[float, ...], offsets: PointOffsets) -> tuple[Point, Point]:
    """Return a mark and our point moved by offsets, in the level's own frame with our point in the middle."""
    here: Point = (0.0, 0.0, 0.0)
    sense = -1.0 if cell.side is Side.RIGHT else 1.0
    mark: Point = (offset[0] * sense, offset[1], offset[2])
    return mark, offsets.moved(here, cell.condition, cell.level, cell.side, np.eye(3))


def _lengths(marks: Marks) -> dict[Condition, tuple[float, ...]]:
    by_condition: dict[Condition, list[float]] = {condition: [] for condition in Condition}
    for cell, offset in marks:
        by_condition[cell.condition].append(float(np.linalg.norm(offset)))
    return {condition: tuple(lengths) for condition, lengths in by_condition.items()}


def _found_level(level: Level, stored: Mapping[str, Any]) -> FoundLevel:
    def point(values: list[float]) -> Point:
        return values[0], values[1], values[2]

    def by_side(points: Mapping[str, list[float]]) -> dict[Side, Point]:
        return {side: point(points[side.value]) for side in Side}

    return FoundLevel(
        level,
        point(stored["canal_centre"]),
        by_side(stored["foramina"]),
        by_side(stored["foramen_middles"]),
        by_side(stored["recesses"]),
        *(np.array(stored[axis]) for axis in ("left", "back", "up")),
    )
