"""Figures of a result as inline SVG: confusion, ROC, reliability, curves of training, box plots over splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from stenograde.evaluate.predictions import Predictions
from stenograde.experiments.result import Arm, Result


@dataclass(frozen=True)
class Figure:
    """A drawing and what it shows."""

    svg: Markup
    caption: str


def arm_figures(arm: Arm, predictions: Predictions) -> tuple[Figure, ...]:
    """Return the figures of one arm."""
    return ()


def over_splits(result: Result, arms: Sequence[Arm]) -> Figure | None:
    """Return the box plot of scores over the splits; None where there are too few."""
    return None
