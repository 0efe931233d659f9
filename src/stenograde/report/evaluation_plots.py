"""Drawings of an evaluation as numbers for the template: places in a box of 100 by 100, the origin at its top left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stenograde.terms import Condition, Severity

_TOPS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Where the axis of a plot of risks may end."""

_DASHES: Final = ("", "5 3", "1.5 2.5")


@dataclass(frozen=True)
class Line:
    """One line of a plot."""

    name: str
    style: str
    """Class that gives its colour."""
    dashes: str
    """``stroke-dasharray``; empty for a whole line, so that lines differ without colour, too."""
    points: str
    """For a ``polyline``."""
    dots: tuple[tuple[float, float, float], ...] = ()
    """Places and radii."""


@dataclass(frozen=True)
class Plot:
    """Lines over two axes that begin at 0."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    has_diagonal: bool
    alt: str


@dataclass(frozen=True)
class Bar:
    """A value with its interval and a mark to beat, along 100."""

    at: float
    low: float | None
    high: float | None
    mark: float | None


def reliability_plot(condition: Mapping[str, Any]) -> Plot | None:
    """Return, for each severity of a condition, the stated probability against how often it was true."""
    if not condition["reliability"]:
        return None
    lines = []
    for severity, dashes in zip(Severity, _DASHES, strict=True):
        curve = condition["reliability"][severity.value]
        places = [(100 * x, 100 - 100 * y) for x, y in zip(curve["said"], curve["seen"], strict=True)]
        shares = [n / sum(curve["counts"]) for n in curve["counts"]]
        dots = tuple((x, y, 1.1 + 3.2 * share**0.5) for (x, y), share in zip(places, shares, strict=True))
        lines.append(Line(severity.shown, severity.value, dashes, _points(places), dots))
    shown = Condition(condition["condition"]).shown
    alt = f"{shown}: stated probability against the share for which it was true, by severity."
    ticks = _ticks(1.0)
    return Plot(shown, "stated probability", "share true", tuple(lines), ticks, _upward(ticks), True, alt)


def risk_plot(conditions: Sequence[Mapping[str, Any]]) -> Plot | None:
    """Return, for each condition, the share of wrong answers against the share of cells answered."""
    known = [one for one in conditions if one["risk"]]
    if not known:
        return None
    highest = max(max(one["risk"]["risk"]) for one in known)
    top = next(end for end in _TOPS if highest <= end)
    lines = []
    for place, one in enumerate(conditions):
        if one["risk"]:
            places = [
                (100 * x, 100 - 100 * y / top)
                for x, y in zip(one["risk"]["coverage"], one["risk"]["risk"], strict=True)
            ]
            dots = ((*places[0], 1.6),) if len(places) == 1 else ()
            name = Condition(one["condition"]).shown
            lines.append(Line(name, f"line-{place + 1}", _DASHES[place], _points(places), dots))
    alt = (
        "Share of wrong answers among the surest against the share of labelled cells answered, by condition."
    )
    x, y = "labelled cells answered, the surest first", "answers that are wrong"
    return Plot("", x, y, tuple(lines), _ticks(1.0), _upward(_ticks(top)), False, alt)


def bars(scores: Sequence[Mapping[str, Any]], marks: Sequence[float | None]) -> tuple[Bar | None, ...]:
    """Return scores as bars on one scale from 0, each with the mark that it must beat; None of one not known."""
    values = [one[name] for one in scores for name in ("value", "high")] + list(marks)
    end = max((value for value in values if value is not None), default=1.0) or 1.0

    def along(value: float | None) -> float | None:
        return None if value is None else min(100.0, 100 * value / (1.05 * end))

    return tuple(
        None
        if (at := along(one["value"])) is None
        else Bar(at, along(one["low"]), along(one["high"]), along(mark))
        for one, mark in zip(scores, marks, strict=True)
    )


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in places)


def _ticks(end: float) -> tuple[tuple[float, str], ...]:
    return tuple((20.0 * k, f"{100 * end * k / 5:.3g}") for k in range(6))


def _upward(ticks: Sequence[tuple[float, str]]) -> tuple[tuple[float, str], ...]:
    return tuple((100 - place, label) for place, label in ticks)
