"""A made-up result of an experiment, for what shows results."""

from __future__ import annotations

import math
from typing import Any

from stenograde.evaluate.intervals import Interval
from stenograde.experiments.pictures.recipe import read_recipe
from stenograde.experiments.pictures.result import (
    Arm,
    ArmDifference,
    AtPrevalence,
    Baseline,
    Calibration,
    ClassRow,
    DataRecord,
    Epoch,
    Leak,
    RepeatsTest,
    Result,
    SplitRecord,
)

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "auc_any",
    "auc_worst",
)
CLASSES = ("no", "mild", "serious")


def made_arm(key: str = "main", title: str = "The network", accuracy: float = 0.75, **changes: Any) -> Arm:
    """An arm of one split on twelve pictures of four patients."""
    score = Interval(accuracy, accuracy - 0.1, accuracy + 0.1)
    scores = dict.fromkeys(METRICS, score) | {"log_loss": Interval(0.9, 0.8, 1.0)}
    split = SplitRecord(
        number=1,
        train=30,
        validation=6,
        test=12,
        by="patient",
        best_epoch=2,
        seconds=61.0,
        parameters=123456,
        pretrained="pre-trained: no",
        history=(Epoch(1, 1.1, 0.4, 1.0, 0.5), Epoch(2, 0.9, 0.6, 0.8, 0.7)),
        scores=dict.fromkeys(METRICS, accuracy),
        leak=Leak(12, 3, 1, 0, 0, places=(0, 1, 2)),
    )
    settings: dict[str, Any] = {
        "key": key,
        "title": title,
        "part": None,
        "variant": None,
        "images": 12,
        "patients": 4,
        "counts": dict.fromkeys(CLASSES, 4),
        "scores": scores,
        "classes": tuple(
            ClassRow(name, 4, score, score, score, score, Interval(math.nan)) for name in CLASSES
        ),
        "confusion": ((3, 1, 0), (0, 3, 1), (1, 0, 3)),
        "baselines": (
            Baseline("majority", "how common the classes are", dict.fromkeys(METRICS, Interval(0.33))),
        ),
        "at_prevalence": (
            AtPrevalence(
                "a population", (0.8, 0.1, 0.1), score, 0.8, (score,) * 3, (Interval(math.nan),) * 3
            ),
        ),
        "calibration": Calibration(0.1, 1.4),
        "leak": Leak(
            12, 3, 1, 0, 0, {"accuracy": Interval(0.9, 0.8, 1.0)}, {"accuracy": Interval(0.7, 0.6, 0.8)}
        ),
        "splits": (split,),
    }
    return Arm(**settings | changes)


def made_result(**changes: Any) -> Result:
    """A result of S1 with two arms and a comparison between them."""
    settings: dict[str, Any] = {
        "recipe": read_recipe("s1", "quick").as_table(),
        "protocol": "patient",
        "data": DataRecord(
            "made up", "samples in memory", CLASSES, 12, 4, dict.fromkeys(CLASSES, 4), "none", ("a note",)
        ),
        "arms": (made_arm(variant="first"), made_arm("other", "Another <network>", 0.5, variant="second")),
        "comparisons": (ArmDifference("main", "other", {"accuracy": Interval(0.25, 0.1, 0.4)}, 0.03, None),),
        "repeats": (
            RepeatsTest("accuracy", "T1", "T2", 0.9, 0.93, (0.5, 0.6), 0.7, "t-test", 0.01, 0.2, -0.8),
        ),
        "versions": {"torch": "2.0"},
        "commit": "abc",
        "seconds": 122.0,
    }
    return Result(**settings | changes)
