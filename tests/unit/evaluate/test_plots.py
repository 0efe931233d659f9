"""Plots are SVG that parses, says what it shows, and holds the numbers."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from tests.made_predictions import made_predictions

from stenograde.evaluate.intervals import Interval
from stenograde.evaluate.metrics import METRICS, QUESTIONS
from stenograde.evaluate.plots import (
    box_plots,
    confusion_picture,
    curves,
    interval_plot,
    reliability_curves,
    roc_curves,
    roc_points,
)

METHOD = made_predictions(20)


def _words(svg: str) -> str:
    """Return all text of a drawing, checking that it parses."""
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("role") == "img"
    return "\n".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))


DRAWN = {
    "curves": lambda title: curves({"training": [2, 1], "validation": [math.nan, 3]}, title=title, y="loss"),
    "confusion": lambda title: confusion_picture([[5, 1], [0, 0]], ["no", "yes"], title=title),
    "roc": lambda title: roc_curves({"net": METHOD}, title=title),
    "reliability": lambda title: reliability_curves(METHOD, title=title),
    "intervals": lambda title: interval_plot(
        {"a": [Interval(0.5, 0.4, 0.7), Interval(math.nan)], "b": [Interval(0.6, 0.5, 0.7)] * 2},
        ["T1", "T2"],
        title=title,
        y="AUC",
    ),
    "boxes": lambda title: box_plots({"T1": [0.9, 0.8], "T2": [0.7]}, title=title, y="accuracy"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_when_drawn_then_it_has_its_title_and_is_the_same_again(name: str) -> None:
    svg = DRAWN[name]("Loss < 1 & more")
    assert "Loss < 1 & more" in _words(svg)
    assert ET.fromstring(svg).get("aria-label") == "Loss < 1 & more"
    assert svg == DRAWN[name]("Loss < 1 & more")


def test_plots_when_drawn_then_settings_of_the_process_stay() -> None:
    before = dict(mpl.rcParams)
    DRAWN["boxes"]("any")
    assert dict(mpl.rcParams) == before


def test_confusion_when_drawn_then_counts_and_shares_are_in_it() -> None:
    words = _words(confusion_picture([[30, 10], [2, 8]], ["normal_mild", "severe"], title="t"))
    for expected in ("30", "75%", "10", "25%", "80%", "normal mild", "severe", "predicted", "true"):
        assert expected in words.splitlines()


def test_roc_when_drawn_then_the_legend_gives_the_areas() -> None:
    other = made_predictions(20, of_method=1)
    words = _words(roc_curves({"net": METHOD, "other": other}, title="t", question="auc_worst"))
    assert f"net (AUC {METRICS['auc_worst'](METHOD):.2f})" in words
    assert f"other (AUC {METRICS['auc_worst'](other):.2f})" in words
    with pytest.raises(ValueError, match="one of auc_any, auc_worst"):
        roc_curves({}, title="t", question="auc")


def test_roc_points_when_joined_then_the_area_below_is_the_score() -> None:
    scores, positive = QUESTIONS["auc_any"](METHOD)
    rounded = np.round(scores, 1)  # with equal scores
    x, y = roc_points(rounded, positive)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    pairs = rounded[positive][:, None] - rounded[~positive][None]
    assert np.trapezoid(y, x) == pytest.approx((np.sign(pairs) / 2 + 0.5).mean())


def test_box_plots_when_there_are_references_then_they_are_named() -> None:
    words = _words(
        box_plots({"T1": [0.9, 0.8, 0.7]}, title="t", y="accuracy", references={"five nearest": 0.95})
    )
    assert "five nearest 0.95" in words
    assert "accuracy" in words


def test_intervals_when_drawn_then_bars_reach_from_bound_to_bound() -> None:
    svg = interval_plot(
        {"a": [Interval(0.5, 0.4, 0.7)], "b": [Interval(0.6, 0.6, 0.6)]}, ["T1"], title="t", y="AUC"
    )
    words = _words(svg).splitlines()
    assert {"T1", "AUC", "a", "b"} <= set(words)
    bars = [
        [float(y) for y in re.findall(r"[ML] \S+ (\S+)", node.get("d", ""))]
        for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
        if (group.get("id") or "").startswith("LineCollection")
        for node in group.iter("{http://www.w3.org/2000/svg}path")
    ]
    lengths = [abs(bar[0] - bar[-1]) for bar in bars]
    assert lengths[0] > 50
    assert lengths[1] == pytest.approx(0)


def test_curves_when_places_are_given_then_they_stand_there() -> None:
    svg = curves({"a": [1, 2, 1]}, title="t", y="share", x="place", at=[0, 0.25, 1])
    assert "0.25" not in _words(curves({"a": [1, 2, 1]}, title="t", y="share")).splitlines()
    assert {"0.0", "1.0", "place"} <= set(_words(svg).splitlines())


def test_curves_when_an_epoch_is_marked_then_the_legend_says_which() -> None:
    assert "best: epoch 2" in _words(curves({"a": [3, 1, 2]}, title="t", y="loss", marked=2))
