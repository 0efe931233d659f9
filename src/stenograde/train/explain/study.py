"""Explain cells of a study: what its network looked at, on the source instances, as explain.json and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stenograde.dicom.read.pixels import check_pixels
from stenograde.errors import ConfigError
from stenograde.files import write_together
from stenograde.grades import Probabilities, StudyGrades
from stenograde.levels.cell_points import PointedLevel, moved_levels, point_of
from stenograde.levels.crop import CropKind, crop_levels
from stenograde.levels.crop_sources import SourceMap, crop_source
from stenograde.levels.frames_of_reference import keep_reachable
from stenograde.predict.bundle import Bundle
from stenograde.predict.cell_points import cell_points
from stenograde.predict.grade import grade_located
from stenograde.predict.grader import CROPS, LEVEL, PRESENT, GraderEntry
from stenograde.predict.locate import locate_study
from stenograde.report.as_explain_json import ExplainedCell, Strongest, as_explain_json
from stenograde.report.saliency import MappedSlice, saliency_png
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Level, Severity, Side
from stenograde.train.explain.attribution import LogOdds, attribute
from stenograde.train.explain.mapped import Sources, crop_weights, source_maps
from stenograde.train.explain.torch_grader import TorchGrader, check_same, open_torch_grader

MOST_CELLS = 10
"""Cells that are explained where none are named."""

EXPLAINED = "explain.json"
"""Name of the table beside the pictures."""


@dataclass(frozen=True, eq=False)
class _OfLevel:
    """What a grader is given of one level, and where it is from."""

    point: PointedLevel
    crops: Tensor
    """Shape (1, 2 views, kinds, slices, rows, columns)."""
    present: Tensor
    level: Tensor
    sources: Sources


@dataclass(frozen=True, eq=False)
class _Asked:
    """A study that was graded, and the net that graded it."""

    grader: TorchGrader
    entry: GraderEntry
    grades: StudyGrades
    levels: Mapping[Level, _OfLevel]
    said: Mapping[Cell, Probabilities]
    """What the net alone says of the cells of levels that a crop shows."""


def explain_study(
    study: Study, bundle: Bundle, out: Path, cells: Sequence[Cell] = ()
) -> tuple[ExplainedCell, ...]:
    """Write why a bundle's network answers cells of a study as it does.

    Parameters
    ----------
    study : Study
    bundle : Bundle
        With a grader.
    out : Path
        Folder of ``explain.json`` and a picture for each cell; all appear, or none.
    cells : sequence of Cell
        Those that the network alone calls moderate or severe if none are named, the surest first, at most
        :data:`MOST_CELLS`.

    Returns
    -------
    explained : tuple of ExplainedCell

    Raises
    ------
    StudyError
        If the study cannot be graded as given.
    BundleError
        If the bundle has no grader of a known kind, or its weights and its graph differ.
    ConfigError
        If a cell is named that no crop shows, or a file cannot be written.
    """
    asked = _asked(study, bundle)
    chosen = tuple(dict.fromkeys(cells)) or _narrowed(asked.said)
    for cell in chosen:
        if cell not in asked.said:
            imaged = ", ".join(level.shown for level in asked.levels) or "none"
            msg = (
                f"cell must be of a level that the series show, and none that fixed heads answer, got {cell.name}; "
                f"shown are {imaged}"
            )
            raise ConfigError(msg)
    pictures: dict[Path, str | bytes] = {}
    explained = []
    for cell in chosen:
        one, png = _explained(cell, asked)
        explained.append(one)
        if png is not None:
            pictures[out / one.picture] = png
    table = as_explain_json(study.uid, bundle.stamp, explained)
    write_together({out / EXPLAINED: json.dumps(table, indent=2, allow_nan=False) + "\n", **pictures})
    return tuple(explained)


def _asked(study: Study, bundle: Bundle) -> _Asked:
    grader = open_torch_grader(bundle)
    entry = bundle.table.grader
    assert entry is not None, "a grader was opened"
    located = locate_study(study, bundle, whole=False)
    grades = grade_located(study, located, bundle)
    study, _ = keep_reachable(check_pixels(study), located.series, located.points)
    points = located.points.levels
    moved = moved_levels(points, cell_points(study, points, bundle))  # as when graded
    by_heads = () if bundle.table.fixed is None else tuple(bundle.table.fixed.reads)
    crops = crop_levels(study, moved, entry.crops)
    places = [LUMBAR_MRI.levels.index(level) for level in crops.levels]
    fed = {
        CROPS: torch.from_numpy(crops.values),
        PRESENT: torch.from_numpy(crops.present.astype(np.float32)),
        LEVEL: torch.eye(len(LUMBAR_MRI.levels))[places],
    }
    check_same(bundle, grader, fed)
    levels, said = {}, {}
    for i, level in enumerate(crops.levels):
        sources = {
            (side, kind): source
            for j, side in enumerate(Side)
            for k, kind in enumerate(CropKind)
            if crops.present[i, j, k]
            and (source := crop_source(study, kind, side, moved[level], entry.crops)) is not None
        }
        if not sources:
            continue
        values, present, place = (fed[name][i : i + 1] for name in (CROPS, PRESENT, LEVEL))
        one = _OfLevel(moved[level], values, present, place, sources)
        with torch.inference_mode():
            logits = grader.logits(one.crops, one.present, one.level)[0].numpy()
        levels[level] = one
        for cell, of_cell in zip(LUMBAR_MRI.at(level), logits, strict=True):
            if cell.condition.value in by_heads:
                continue  # small heads answer it in the grader's place
            said[cell] = Probabilities(entry.calibration[cell.condition.value].probabilities(of_cell))
    return _Asked(grader, entry, grades, levels, said)


def _narrowed(said: Mapping[Cell, Probabilities]) -> tuple[Cell, ...]:
    """Return the cells called moderate or severe, the surest first."""
    called = [cell for cell, one in said.items() if one.severity is not Severity.NORMAL_MILD]
    return tuple(sorted(called, key=lambda cell: said[cell][0])[:MOST_CELLS])


def _explained(cell: Cell, asked: _Asked) -> tuple[ExplainedCell, bytes | None]:
    """Explain one cell; gives its picture, too."""
    level, entry = asked.levels[cell.level], asked.entry
    log_odds = LogOdds(
        asked.grader,
        level.present,
        level.level,
        place=LUMBAR_MRI.at(cell.level).index(cell),
        scaling=entry.calibration[cell.condition.value],
    )
    found = attribute(log_odds, level.crops, grid_mm=entry.crops.grid_mm)
    values = found.smoothed(entry.crops.grid_mm)
    maps = source_maps(level.sources, values)
    attention = asked.grader.attention(level.crops, level.present, level.level)
    grade = asked.grades.of(cell)
    png = _picture(cell, asked, maps)
    one = ExplainedCell(
        cell,
        grade.status,
        grade.reason,
        asked.said[cell],
        found.log_odds,
        found.baseline_log_odds,
        found.remainder,
        crop_weights(cell, level.sources, attention, values),
        _strongest(maps),
        f"{cell.name}.png" if png is not None else "",
    )
    return one, png


def _strongest(maps: Sequence[SourceMap]) -> Strongest | None:
    if not maps or maps[0].strength == 0:
        return None
    return Strongest(maps[0].evidence(), maps[0].point(), maps[0].strength > 0)


def _picture(cell: Cell, asked: _Asked, maps: Sequence[SourceMap]) -> bytes | None:
    """Draw the slice of each volume on which its map is strongest."""
    centre = point_of(asked.levels[cell.level].point, cell)
    slices = [
        MappedSlice(
            one.series,
            one.volume,
            one.strongest[0],
            one.on_slice(one.strongest[0]),
            centre,
            one.point() if one is maps[0] and one.strength else None,
        )
        for one in maps
    ]
    side = f"{cell.side.value} " if cell.side else ""
    shares = ", ".join(
        f"{severity.shown} {share:.2f}" for severity, share in zip(Severity, asked.said[cell], strict=True)
    )
    status = asked.grades.of(cell).status.value
    explained = f"{status}; the network alone says {shares}"
    words = f"{side}{cell.condition.shown.lower()} {cell.level.shown}"
    return saliency_png(slices, [f"{words[0].upper()}{words[1:]}", explained])
