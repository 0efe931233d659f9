"""Which slices trained attention looked at, as curves: kept by the grid, drawn for its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.plots import curves
from stenograde.experiments.pages.figure import Figure, drawn
from stenograde.terms import Condition

ATTENTION = "attention"
"""Folder of the weights, one file for rows that share their vectors."""

_PLACES = np.linspace(0, 1, 21)
"""Where curves are sampled, from the first slice of a series to its last."""

_CAPTION = (
    "How much a slice counts beside the mean of its series, by its place in it, first to last in geometric order; a "
    "level line is mean pooling. Mean over studies and training parts."
)


def attention_figures(folder: Path) -> Iterator[Figure]:
    """Give a figure for each file of attention weights below a folder.

    Parameters
    ----------
    folder : Path
        Folder of a grid's result. Each file of its :data:`ATTENTION` holds, for each training part and condition,
        weights of shape (studies, slices), 0 where there is no slice.
    """
    for path in sorted((folder / ATTENTION).glob("*.npz")):
        with np.load(path) as kept:
            lines = {
                condition.shown: mean_profile(
                    [kept[name] for name in kept.files if name.endswith(condition.value)]
                )
                for condition in Condition
            }
        shown = curves(
            lines,
            title=path.stem.replace("-", ", "),
            y="times the mean",
            x="place in the series",
            at=_PLACES.tolist(),
        )
        yield drawn(shown, _CAPTION)


def mean_profile(parts: list[NDArray[np.float32]]) -> list[float]:
    """Return how much slices count, 1 for as much as the mean, at even places of a series.

    Parameters
    ----------
    parts : list of ndarray of shape (studies, slices), float32
        Weights that sum to one over the slices of a study; series of one slice tell nothing and are left out.
    """
    profiles = []
    for weights in (one for part in parts for one in part):
        own = weights[: np.flatnonzero(weights).max(initial=-1) + 1]
        if len(own) > 1:
            profiles.append(np.interp(_PLACES, np.linspace(0, 1, len(own)), own * len(own)))
    return np.mean(profiles, axis=0).tolist() if profiles else [float("nan")] * len(_PLACES)
