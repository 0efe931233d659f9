"""Figures of a result as inline SVG: confusion, ROC, reliability, curves of training, box plots over splits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stenograde.evaluate.plots import box_plots, confusion_picture, curves, reliability_curves, roc_curves
from stenograde.evaluate.predictions import Predictions
from stenograde.experiments.pages.figure import Figure, drawn
from stenograde.experiments.pictures.result import Arm, SplitRecord

_BOXED = {"accuracy": "accuracy", "macro_precision": "precision", "macro_recall": "recall", "macro_f1": "F1"}
"""Scores that are drawn over the splits: those of the box plots of seed document S4."""

_LEAST_SPLITS = 3
"""Fewest splits that make a box."""


def arm_figures(arm: Arm, predictions: Predictions) -> tuple[Figure, ...]:
    """Return the figures of one arm, from the predictions of all its splits."""
    made = [
        drawn(
            confusion_picture(arm.confusion, predictions.classes, title="Confusion"),
            "Counts of all splits together, and shares of each row.",
        )
    ]
    if 0 < np.count_nonzero(predictions.labels) < len(predictions):
        first = predictions.classes[0]
        title = f"Any but {first}" if len(predictions.classes) > 2 else predictions.classes[1]
        roc = roc_curves({"network": predictions}, title=f"ROC: {title}")
        made.append(drawn(roc, f"Distinguishes {first} from the rest."))
    made.append(
        drawn(
            reliability_curves(predictions, title="Reliability"),
            "Stated probability against how often it was true.",
        )
    )
    made.extend(_training(arm.splits))
    return tuple(made)


def over_splits(arms: Sequence[Arm]) -> Figure | None:
    """Return the box plot of scores over the splits of some arms; None where there are too few."""
    if min(len(arm.splits) for arm in arms) < _LEAST_SPLITS:
        return None
    groups = {
        f"{f'{arm.part} ' if arm.part else ''}{shown}": values
        for arm in arms
        for metric, shown in _BOXED.items()
        if (values := arm.over_splits(metric))
    }
    answers = {
        baseline.name: score.value
        for baseline in arms[0].baselines
        if (score := baseline.scores["accuracy"]).known
    }
    boxes = box_plots(groups, title="Each training and its test", y="score", references=answers)
    return drawn(
        boxes, "Whiskers reach the extremes; a dot is one training. Lines: accuracy without a picture."
    )


def _training(splits: Sequence[SplitRecord]) -> list[Figure]:
    """Curves of loss and accuracy: each the mean over the splits that still trained."""
    epochs = max(len(split.history) for split in splits)
    marked = splits[0].best_epoch if len(splits) == 1 else None
    what = (
        "One training."
        if len(splits) == 1
        else f"Mean over {len(splits)} trainings, of those not yet stopped."
    )
    losses = {
        "training": _means(splits, epochs, "loss"),
        "validation": _means(splits, epochs, "validation_loss"),
    }
    accuracies = {
        "training": _means(splits, epochs, "accuracy"),
        "validation": _means(splits, epochs, "validation_accuracy"),
    }
    return [
        drawn(curves(_known(lines), title=title, y=y, marked=marked), what)
        for lines, title, y in ((losses, "Loss", "loss"), (accuracies, "Accuracy while training", "accuracy"))
        if _known(lines)
    ]


def _means(splits: Sequence[SplitRecord], epochs: int, name: str) -> list[float]:
    means = []
    for epoch in range(epochs):
        values = [getattr(split.history[epoch], name) for split in splits if len(split.history) > epoch]
        known = [value for value in values if value is not None]
        means.append(sum(known) / len(known) if known else math.nan)
    return means


def _known(lines: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: values for name, values in lines.items() if not all(map(math.isnan, values))}
