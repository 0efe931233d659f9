"""Scores as pictures: SVG text that a page can hold as it is, drawn without any state of the process.

Colours are those of Okabe and Ito, which remain apart for colour-blind readers (https://jfly.uni-koeln.de/color/);
lines differ by their dashes as well. Matplotlib draws; its figures are made directly and never shown.
"""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from stenograde.evaluate.calibration import BINS, class_reliability
from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.metrics import QUESTIONS, metric_named
from stenograde.evaluate.predictions import Predictions

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", "-.", ":")
_REFERENCE = "#767676"

_SIZE_IN = (5.2, 3.9)
"""Width and height of a plot, inches of 72 SVG points."""

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's fonts
    "svg.hashsalt": "stenograde",  # the same numbers give the same file
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def curves(
    lines: Mapping[str, Sequence[float]],
    *,
    title: str,
    y: str,
    x: str = "epoch",
    at: Sequence[float] | None = None,
    marked: int | None = None,
) -> str:
    """Return curves as SVG, over epochs or over places of any kind.

    Parameters
    ----------
    lines : mapping of name to values
        NaN leaves a gap.
    title, y, x : str
        Texts of the plot and its axes.
    at : sequence of float, optional
        Where the values of each line stand; without, the first belongs to epoch 1.
    marked : int, optional
        Epoch that is marked as the best.
    """
    figure, axes = _plot(title, x, y)
    for (name, values), colour, dashes in zip(lines.items(), cycle(COLOURS), cycle(_DASHES)):
        places = np.arange(1, len(values) + 1) if at is None else np.asarray(at)
        dot = "o" if len(values) == 1 else None
        axes.plot(places, np.asarray(values, np.float64), dashes, color=colour, marker=dot, label=name)
    if marked is not None:
        axes.axvline(marked, color=_REFERENCE, linestyle=":", label=f"best: {x} {marked}")
    if at is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes, "upper right")
    return _svg(figure, title)


def confusion_picture(matrix: ArrayLike, classes: Sequence[str], *, title: str) -> str:
    """Return a confusion matrix, rows being true classes, as SVG: counts and shares of each row, darker for larger."""
    counts = np.asarray(matrix, np.float64)
    rows = counts.sum(1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    figure, axes = _plot(title, "predicted", "true")
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    for (i, j), share in np.ndenumerate(shares):
        ink = "white" if share > 0.5 else "black"
        axes.text(j + 0.5, i + 0.5, f"{counts[i, j]:g}\n{share:.0%}", ha="center", va="center", color=ink)
    names = [name.replace("_", " ") for name in classes]
    middles = np.arange(len(names)) + 0.5
    axes.set_xticks(middles, names)
    axes.set_yticks(middles, names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return _svg(figure, title)


def roc_curves(methods: Mapping[str, Predictions], *, title: str, question: str = "auc_any") -> str:
    """Return ROC curves of methods as SVG, each with its area in the legend.

    Raises
    ------
    ValueError
        If the question is none of ``QUESTIONS``.
    """
    if question not in QUESTIONS:
        msg = f"question must be one of {', '.join(QUESTIONS)}, got {question!r}"
        raise ValueError(msg)
    figure, axes = _plot(title, "false positive share (1 - specificity)", "true positive share (sensitivity)")
    axes.plot([0, 1], [0, 1], color=_REFERENCE, linestyle=":", label="chance")
    for (name, predictions), colour, dashes in zip(methods.items(), cycle(COLOURS), cycle(_DASHES)):
        false_share, true_share = roc_points(*QUESTIONS[question](predictions))
        area = metric_named(question)(predictions)
        axes.plot(false_share, true_share, dashes, color=colour, label=f"{name} (AUC {area:.2f})")
    _square(axes)
    _legend(axes, "lower right")
    return _svg(figure, title)


def reliability_curves(predictions: Predictions, *, title: str, bins: int = BINS) -> str:
    """Return, for each class, its stated probability against how often it was true, as SVG; larger dots hold more."""
    figure, axes = _plot(title, "stated probability", "share for which it was true")
    axes.plot([0, 1], [0, 1], color=_REFERENCE, linestyle=":", label="perfect")
    for (code, name), colour, dashes in zip(enumerate(predictions.classes), cycle(COLOURS), cycle(_DASHES)):
        curve = class_reliability(predictions, code, bins=bins)
        axes.plot(curve.said, curve.seen, dashes, color=colour, label=name.replace("_", " "))
        axes.scatter(curve.said, curve.seen, s=8 + 80 * curve.counts / len(predictions), color=colour)
    _square(axes)
    _legend(axes, "upper left")
    return _svg(figure, title)


def box_plots(
    groups: Mapping[str, Sequence[float]],
    *,
    title: str,
    y: str,
    references: Mapping[str, float] | None = None,
) -> str:
    """Return box plots as SVG: whiskers at the extremes, box at the quartiles, line at the median, a dot per value.

    Parameters
    ----------
    groups : mapping of name to values
    title, y : str
    references : mapping of name to value, optional
        Trivial answers, as lines across.
    """
    figure, axes = _plot(title, "", y)
    names = list(groups)
    boxes = axes.boxplot(
        [np.asarray(groups[name], np.float64) for name in names], whis=(0, 100), widths=0.5, patch_artist=True
    )
    for place, (name, colour) in enumerate(zip(names, cycle(COLOURS)), start=1):
        values = np.asarray(groups[name], np.float64)
        boxes["boxes"][place - 1].set(facecolor=colour, alpha=0.35)
        boxes["medians"][place - 1].set(color="black")
        aside = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else 0.0
        axes.scatter(place + aside, values, s=9, color=colour, zorder=3)
    axes.set_xticks(range(1, len(names) + 1), names)
    for (name, value), dashes in zip((references or {}).items(), cycle(_DASHES[1:])):
        axes.axhline(value, color=_REFERENCE, linestyle=dashes, label=f"{name} {value:.2f}")
    _legend(axes, "lower left")
    return _svg(figure, title)


def interval_plot(
    groups: Mapping[str, Sequence[Interval]], ticks: Sequence[str], *, title: str, y: str
) -> str:
    """Return values with their intervals as SVG, group beside group at each tick.

    Parameters
    ----------
    groups : mapping of name to values
        One for each tick; NaN leaves a gap.
    ticks : sequence of str
    title, y : str
    """
    figure, axes = _plot(title, "", y)
    aside = np.linspace(-0.3, 0.3, len(groups)) if len(groups) > 1 else np.zeros(1)
    markers = cycle("osD^vP")
    for (name, scores), shift, colour, marker in zip(
        groups.items(), aside, cycle(COLOURS), markers, strict=False
    ):
        values, low, high = np.array([(one.value, one.low, one.high) for one in scores]).T
        places = np.arange(len(ticks)) + shift
        axes.errorbar(
            places, values, [values - low, high - values], fmt=marker, ms=4, lw=1, color=colour, label=name
        )
    axes.set_xticks(range(len(ticks)), ticks)
    axes.tick_params("x", length=0, labelsize=9)
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.grid(axis="y", alpha=0.3)
    # below the plot, as intervals may lie anywhere in it
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=2)
    return _svg(figure, title)


def roc_points(
    scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive shares at every threshold, from (0, 0) to (1, 1); NaN where there are none."""
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    shares = []
    for of in (~positive, positive):
        hits = np.concatenate([[0], np.cumsum(of[order])[last_of_equals]]).astype(np.float64)
        shares.append(hits / of.sum() if of.any() else np.full(len(hits), np.nan))
    return shares[0], shares[1]


def _plot(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _square(axes: Axes) -> None:
    # a little more than 0 to 1, so that lines along the edges are whole
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")


def _legend(axes: Axes, corner: Literal["upper left", "upper right", "lower left", "lower right"]) -> None:
    """Put a legend where curves of such a plot seldom are; the best place takes long to find on a busy machine."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=9, loc=corner)


def _svg(figure: Figure, title: str) -> str:
    out = io.StringIO()
    with mpl.rc_context(_SETTINGS):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = out.getvalue()
    drawing = text[text.index("<svg") :]
    return drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
