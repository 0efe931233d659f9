"""What an experiment found: frozen records, written as ``result.json`` with a version, and read back strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from stenograde.config import build
from stenograde.errors import ConfigError, DatasetError
from stenograde.evaluate.intervals import Interval
from stenograde.files import write_whole

SCHEMA = "stenograde-experiment/1"
"""Name and version of the layout of ``result.json``; the number grows when a reader would have to change."""

RESULT, PREDICTIONS, PAGE = "result.json", "predictions.csv", "report.html"
"""Files of a result's folder."""

Protocol = Literal["published", "patient"]

_INTERVAL = ("value", "low", "high")
"""What is stored of a score and its interval."""


@dataclass(frozen=True)
class Baseline:
    """What an answer that needs no picture scores on the same test."""

    name: str
    says: str
    """What it answers."""
    scores: Mapping[str, Interval]


@dataclass(frozen=True)
class ClassRow:
    """One class against the others."""

    name: str
    count: int
    """Test pictures that have it."""
    precision: Interval
    recall: Interval
    f1: Interval
    specificity: Interval
    auc: Interval


@dataclass(frozen=True)
class AtPrevalence:
    """The same test, weighted as if the classes were as common as in a population."""

    name: str
    shares: tuple[float, ...]
    accuracy: Interval
    majority: float
    """Accuracy of always saying the most common class."""
    ppv: tuple[Interval, ...]
    """Positive predictive value of each class: how often it is right when it is predicted."""
    npv: tuple[Interval, ...]
    """Negative predictive value of each class: how often it is right when it is not predicted."""


@dataclass(frozen=True)
class Leak:
    """What test and training share, and what the score is with and without it."""

    tested: int
    """Test pictures."""
    leaking: int
    """Test pictures with any of the following."""
    shared_patients: int
    """Patients on both sides."""
    near_duplicates: int
    """Test pictures that look like a training picture by their perceptual hash."""
    twins: int
    """Test pictures whose augmented copies may stand in training."""
    on_leaking: Mapping[str, Interval] = field(default_factory=dict)
    """Scores on the leaking test pictures of all splits; none where there are none."""
    on_clean: Mapping[str, Interval] = field(default_factory=dict)
    """Scores on the others."""
    places: tuple[int, ...] = ()
    """Rows of the predictions that leak, for a single split."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the training pictures."""

    epoch: int
    loss: float | None
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class Case:
    """A test picture and where the network looked."""

    name: str
    truth: str
    said: str
    probability: float
    """Probability of the class that was predicted."""
    picture: str
    """File in the split's folder: the picture."""
    heat: str
    """File in the split's folder: the picture with the Grad-CAM map of the predicted class."""
    straightened: str | None = None
    """File in the split's folder: what the spatial transformer passes on."""


@dataclass(frozen=True)
class SplitRecord:
    """One training and its test."""

    number: int
    train: int
    validation: int
    test: int
    by: Literal["patient", "image"]
    best_epoch: int
    seconds: float
    parameters: int
    pretrained: str
    history: tuple[Epoch, ...]
    scores: Mapping[str, float | None]
    leak: Leak
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """How far stated probabilities are from what happens."""

    error: float | None
    """Expected calibration error of the most probable class."""
    temperature: float | None
    """Above 1, the network is overconfident; fitted on the test itself, for description only."""


@dataclass(frozen=True)
class Arm:
    """One network setting on one part of the data: all its splits and what they come to."""

    key: str
    """Name of its folder below ``arms``."""
    title: str
    part: str | None
    variant: str | None
    images: int
    patients: int | None
    """None when the data do not say whose the pictures are."""
    counts: Mapping[str, int]
    """Pictures of each class."""
    scores: Mapping[str, Interval]
    classes: tuple[ClassRow, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth."""
    baselines: tuple[Baseline, ...]
    at_prevalence: tuple[AtPrevalence, ...]
    calibration: Calibration
    leak: Leak
    splits: tuple[SplitRecord, ...]
    notes: tuple[str, ...] = ()

    @property
    def pretrained(self) -> str:
        """What the network started from, as its splits say."""
        return self.splits[0].pretrained

    @property
    def seconds(self) -> float:
        """Wall time of all trainings and tests."""
        return sum(split.seconds for split in self.splits)

    def over_splits(self, metric: str) -> list[float]:
        """Return a score of each split where it is defined."""
        return [value for split in self.splits if (value := split.scores.get(metric)) is not None]


@dataclass(frozen=True)
class ArmDifference:
    """Two arms on the same pictures: first less second."""

    first: str
    second: str
    differences: Mapping[str, Interval]
    mcnemar_p: float | None = None
    """p of McNemar's test, with patients as units."""
    delong_p: float | None = None
    """p of DeLong's test of ``auc_any``, with patients as units."""


@dataclass(frozen=True)
class RepeatsTest:
    """Two parts over their repeats, tested as the document did and as it should be."""

    metric: str
    first: str
    second: str
    first_mean: float
    second_mean: float
    normal_p: tuple[float, float]
    """Kolmogorov-Smirnov, each against the Normal of its own mean and deviation."""
    equal_variance_p: float
    """Bartlett."""
    test: str
    """Which test these two lead to by the document's rule."""
    p: float
    corrected_p: float | None
    """p of the corrected resampled t-test (Nadeau and Bengio 2003, 10.1023/A:1024068626366)."""
    effect: float | None
    """Cohen's d over the repeats."""


@dataclass(frozen=True)
class DataRecord:
    """What the experiment was run on."""

    name: str
    layout: str
    """How the folder was read."""
    classes: tuple[str, ...]
    images: int
    patients: int | None
    counts: Mapping[str, int]
    licence: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """One recipe under one protocol."""

    recipe: Mapping[str, Any]
    """Resolved: every setting, defaults too."""
    protocol: Protocol
    data: DataRecord
    arms: tuple[Arm, ...]
    comparisons: tuple[ArmDifference, ...] = ()
    repeats: tuple[RepeatsTest, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    seconds: float = 0.0
    """Wall time of all parts; those reused from an earlier run count with the time they took."""
    predictions: str = PREDICTIONS
    """File beside it: the predictions of the first arm."""
    schema: str = SCHEMA

    @property
    def main(self) -> Arm:
        """The network as published."""
        return self.arms[0]

    @property
    def against_first(self) -> Mapping[str, ArmDifference]:
        """The network as published less each other arm of its part, by that arm's key."""
        firsts = {arm.key for arm in self.arms if arm.variant == self.main.variant}
        return {found.second: found for found in self.comparisons if found.first in firsts}


def told(value: float | None) -> float | None:
    """Return a number as JSON holds it: None where it is not finite."""
    return None if value is None or not math.isfinite(value) else float(value)


def as_stored(fields_of_one: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a record as JSON holds them: of an interval three numbers, None where undefined."""
    table = dict(fields_of_one)
    if "draws" not in table:
        return table
    bounded = all(told(table[name]) is not None for name in _INTERVAL)
    return {name: told(table[name]) if bounded or name == "value" else None for name in _INTERVAL}


def write_result(result: Result, folder: Path) -> Path:
    """Write ``result.json``, whole or not at all; gives its path."""
    table = asdict(result, dict_factory=as_stored)
    content = json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(folder / RESULT, content + "\n")


def read_result(path: Path) -> Result:
    """Read a result from its file or folder.

    Raises
    ------
    DatasetError
        If there is none, it has another version, or it does not hold what a result must.
    """
    file = path / RESULT if path.is_dir() else path
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as exc:
        msg = f"result must be a readable {RESULT}, got {file} ({exc})"
        raise DatasetError(msg) from exc
    found = table.get("schema") if isinstance(table, dict) else None
    if found != SCHEMA:
        msg = f"schema of {file} must be {SCHEMA}, got {found!r}; run the experiment again with this version"
        raise DatasetError(msg)
    return Result(**from_table(Result, table, file, untouched=("recipe",)))


def from_table(
    kind: type[Any], table: Mapping[str, Any], file: Path, *, untouched: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the fields of a record from its JSON table, each checked; those ``untouched`` as they are.

    Raises
    ------
    DatasetError
        If a field is unknown, missing or of the wrong type.
    """
    free = {name: table[name] for name in untouched if name in table}
    try:
        made = build(kind, _with_nan({**table, **{name: {} for name in free}}), where=file.name)
    except ConfigError as exc:
        msg = f"{file} does not hold what it must: {exc}"
        raise DatasetError(msg) from exc
    return {**{item.name: getattr(made, item.name) for item in fields(kind)}, **free}


def _with_nan(value: Any) -> Any:
    """Return a stored record with NaN where an interval has None."""
    if isinstance(value, Mapping):
        if value.keys() == set(_INTERVAL):
            return {name: math.nan if number is None else number for name, number in value.items()}
        return {name: _with_nan(one) for name, one in value.items()}
    return [_with_nan(one) for one in value] if isinstance(value, list) else value
