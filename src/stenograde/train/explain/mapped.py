"""From a grader's attention and map of one level back to the slices and pixels that its crops were cut from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stenograde.levels.crop import CropKind
from stenograde.levels.crop_sources import CropSource, SourceMap, on_sources
from stenograde.report.as_explain_json import CropWeight, SliceWeight
from stenograde.terms import Cell, Condition, Side
from stenograde.train.explain.torch_grader import Attention

Sources = Mapping[tuple[Side, CropKind], CropSource]
"""What the crops of a level that are there were cut from."""


def crop_weights(
    cell: Cell, sources: Sources, attention: Attention, values: NDArray[np.float32]
) -> tuple[CropWeight, ...]:
    """Return how much each crop that is there counts for a cell, and each source slice in it.

    Parameters
    ----------
    cell : Cell
    sources : mapping
    attention : Attention
        Of the cell's level.
    values : ndarray of shape (2 views, kinds, slices, rows, columns)
        The map.
    """
    question = tuple(Condition).index(cell.condition)
    of_crops = attention.crops[..., question].numpy()
    of_slices = None if attention.slices is None else attention.slices[..., question].numpy()
    sizes = np.abs(values).sum(axis=(3, 4), dtype=np.float64)
    sizes /= max(float(sizes.sum()), np.finfo(np.float64).tiny)
    found = []
    for (side, kind), source in sources.items():
        place = tuple(Side).index(side), tuple(CropKind).index(kind)
        weight = _weight(cell, side, float(of_crops[place]))
        within = None if weight is None or of_slices is None else weight * of_slices[place]
        slices = _slices(source, within, sizes[place])
        series_uid = source.series.uid
        found.append(CropWeight(kind.value, side, series_uid, weight, float(sizes[place].sum()), slices))
    return tuple(found)


def source_maps(sources: Sources, values: NDArray[np.float32]) -> tuple[SourceMap, ...]:
    """Return a map of shape (2 views, kinds, slices, rows, columns) on its source slices, the strongest first."""
    crops = [
        (source, values[tuple(Side).index(side), tuple(CropKind).index(kind)])
        for (side, kind), source in sources.items()
    ]
    return tuple(sorted(on_sources(crops), key=lambda one: -abs(one.strength)))


def _weight(cell: Cell, side: Side, weight: float) -> float | None:
    """Return the weight of a crop; the canal is asked of both views in equal parts, any other cell of its own."""
    if cell.side is None:
        return weight / len(Side)
    return weight if cell.side is side else None


def _slices(
    source: CropSource, weights: NDArray[np.float32] | None, shares: NDArray[np.float64]
) -> tuple[SliceWeight, ...]:
    """Add up the slices of a crop that lie nearest to the same source slice, in the crop's order."""
    held: dict[tuple[str, int], list[int]] = {}
    for place, seen in enumerate(source.slices()):
        if seen is not None:
            uid, frame, _, _ = seen.volume.stored_at(seen.slice, seen.row, seen.column)
            held.setdefault((uid, frame), []).append(place)
    return tuple(
        SliceWeight(
            uid,
            frame,
            None if weights is None else float(weights[places].sum()),
            float(shares[places].sum()),
        )
        for (uid, frame), places in held.items()
    )
