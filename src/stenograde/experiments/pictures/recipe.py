"""A recipe: one published system as data, read from TOML; its ``[quick]`` table lays smaller sizes over the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from stenograde.config import NO_CHANGES, Changes, as_plain
from stenograde.experiments.recipes.read import Size, read_as
from stenograde.images.align import AlignConfig
from stenograde.images.pictures import Intensity, PictureConfig
from stenograde.train.loop.fit_config import FitConfig
from stenograde.train.loop.loss import LossConfig
from stenograde.train.pictures.batches import BatchConfig
from stenograde.train.pictures.fixed_head import FixedHeadConfig

Setting = bool | int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
"""What a network's setting may be; the network's own config says which it wants."""

Settings = Mapping[str, Setting | Mapping[str, Setting]]
"""A network's settings; one of them may be a table itself."""

Task = Literal["canal_severity", "foraminal_xray", "mid_lateral"]
"""The question asked of a picture; decides which readers of :mod:`stenograde.experiments.pictures.data` can serve."""

LevelsBy = Literal["clusters", "points"]
"""How axial slices are assigned to levels: by k-means over slice locations, or by points in patient space."""


@dataclass(frozen=True)
class Claim:
    """What the document reports of itself."""

    text: str
    """In one or two sentences: how much, on what."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Scores by the names of :data:`stenograde.evaluate.metrics.METRICS`, as shares of one."""
    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The same, where the document scores parts of its set apart."""


@dataclass(frozen=True)
class NetChoice:
    """A network by its name in :data:`stenograde.nets.build.NETS`, with its settings."""

    name: str
    settings: Settings = field(default_factory=dict)
    """As the network's own config names them; classes, channels, picture size and extra inputs are filled in."""
    start: Literal["given", "imagenet"] = "given"
    """What it starts from: the weights that are given, or else random ones; or ImageNet's, whatever is given."""


@dataclass(frozen=True)
class Question:
    """A yes-or-no fact of the samples that training asks beside the label, and inference does not."""

    fact: str
    """Name in the samples' facts; a text that begins with 1 means yes, with 0 no, anything else unknown."""
    weight: float = 0.3
    """Weight of its cross-entropy, beside the label's."""

    def __post_init__(self) -> None:
        if not self.fact or not self.weight > 0:
            msg = f"a question needs the name of a fact and a weight above 0, got {self.fact!r} and {self.weight}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Variant:
    """One arm of an ablation."""

    title: str
    settings: Settings = field(default_factory=dict)
    """Laid over the network's settings."""
    intensity: Intensity | None = None
    """Replaces that of the pictures; None keeps it."""
    one_side: bool | None = None
    """Replaces that of the recipe; None keeps it."""


@dataclass(frozen=True)
class Published:
    """How the document split its data, as far as it says."""

    split: Literal["image_holdouts", "balanced_test"] = "image_holdouts"
    repeats: int = 1
    test_share: float = 0.2
    validation_share: float = 0.15
    """Share of what is not test."""
    per_class: int = 100
    """Test pictures of each class; for ``balanced_test``."""
    scored_on: Literal["test", "validation"] = "test"
    """``validation`` where the document scored the pictures that also chose its weights."""
    levels_by: LevelsBy = "points"
    twins: bool = False
    """Augmented copies of the test pictures stand in training; a second arm then shows the score without them."""

    def __post_init__(self) -> None:
        _check_split(self.repeats, self.test_share, self.validation_share)
        if self.per_class < 1:
            msg = f"per_class must be at least 1, got {self.per_class}"
            raise ValueError(msg)


@dataclass(frozen=True)
class ByPatient:
    """The honest split: no patient on both sides, the test at its natural prevalence."""

    split: Literal["folds", "holdouts"] = "folds"
    folds: int = 5
    repeats: int = 20
    """Number of holdouts."""
    test_share: float = 0.2
    """Share of the patients, in each holdout."""
    validation_share: float = 0.15
    train_patients: tuple[int, ...] = ()
    """Numbers of patients that train and validate, one part of the result for each, smaller within larger; empty
    for all there are. The test is the same for all."""

    def __post_init__(self) -> None:
        _check_split(self.repeats, self.test_share, self.validation_share)
        if self.folds < 2:
            msg = f"folds must be at least 2, got {self.folds}"
            raise ValueError(msg)
        if (
            list(self.train_patients) != sorted(set(self.train_patients))
            or min(self.train_patients, default=2) < 2
        ):
            msg = f"train_patients must be different numbers from 2 up, growing, got {self.train_patients}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Protocols:
    """The two ways in which every recipe is run."""

    published: Published = field(default_factory=Published)
    patient: ByPatient = field(default_factory=ByPatient)


@dataclass(frozen=True)
class Recipe:
    """One published system, or one of our own, ready to run."""

    name: str
    title: str
    document: str
    """Authors, title, year, DOI."""
    task: Task
    shown_task: str
    """The task in words."""
    data: str
    """What the document was made with, and what can be given here."""
    claim: Claim
    net: NetChoice
    fit: FitConfig
    starts: int = 1
    """How often the network is fitted, each time with another seed; the answers are averaged."""
    beside: tuple[NetChoice, ...] = ()
    """Further networks, each fitted once; their answers count alike in the average."""
    head: FixedHeadConfig = field(default_factory=FixedHeadConfig)
    """How the last layer of a ``middle_maps`` network is fitted; epochs, loss and changed pictures are for others."""
    picture: PictureConfig = field(default_factory=PictureConfig)
    batches: BatchConfig = field(default_factory=BatchConfig)
    """What the network takes, and how training pictures are balanced and changed."""
    loss: LossConfig = field(default_factory=LossConfig)
    question: Question | None = None
    """What else training is asked, where the network can be."""
    theta_penalty: float = 0.0
    """Weight in the loss of how far a spatial transformer's maps are from the identity."""
    align: AlignConfig | None = None
    """Pictures are cut around an anatomy that a template, fitted to each training part without labels, finds."""
    mirrored: bool = False
    """A test picture is judged mirrored, too, and the two answers are averaged; not for labels that have a side."""
    one_side: bool = False
    """Pictures of right sides are mirrored, so that all look like left ones; those of unknown side stay as they are."""
    level_input: bool = False
    """The disc level, one of the data set's, is handed to the network beside the picture."""
    apart: Literal["nothing", "weighting"] = "nothing"
    """What is trained and scored apart, and then compared."""
    weights: Literal["none", "hub"] = "none"
    """Where the document's network came from; ``hub`` is tried only when it is asked for."""
    protocols: Protocols = field(default_factory=Protocols)
    variants: Mapping[str, Variant] = field(default_factory=dict)
    """The first is the network as published; without any there is one arm."""
    reference: str = ""
    """Variant that the document measures its gains against: every other one is compared with it, too."""
    prevalence: tuple[float, ...] = ()
    """Share of each class in the population that the document names, for what a balanced test hides."""
    prevalence_source: str = ""
    liberties: tuple[str, ...] = ()
    """What the document leaves open, or asks for what cannot be had here, and what is done instead."""
    traps: tuple[str, ...] = ()
    """What a reader of the document's numbers must know."""
    size: Size = "published"
    changed: tuple[str, ...] | None = None
    """Settings that are others than those of the size; None where there are none."""

    def __post_init__(self) -> None:
        if self.starts < 1:
            msg = f"starts must be at least 1, got {self.starts}"
            raise ValueError(msg)
        if self.prevalence and abs(sum(self.prevalence) - 1) > 0.01:
            msg = f"prevalence must sum to 1, got {sum(self.prevalence):g}"
            raise ValueError(msg)
        if bool(self.prevalence) != bool(self.prevalence_source):
            msg = "prevalence and prevalence_source must be given together; say where the shares are from"
            raise ValueError(msg)
        if self.one_side and self.align is not None:
            msg = "one_side must be false where pictures are aligned: the template finds an anatomy as it is stored"
            raise ValueError(msg)
        if self.reference and self.reference not in self.variants:
            msg = f"reference must be one of the variants {', '.join(self.variants)}, got {self.reference!r}"
            raise ValueError(msg)

    @property
    def members(self) -> tuple[Recipe, ...]:
        """The recipe of each single network whose answers are averaged."""
        starts = (
            replace(self, starts=1, beside=(), fit=replace(self.fit, seed=self.fit.seed + start))
            for start in range(self.starts)
        )
        further = (replace(self, starts=1, beside=(), net=choice) for choice in self.beside)
        return (*starts, *further)

    def as_table(self) -> dict[str, Any]:
        """Return every setting as plain values, as JSON and TOML hold them."""
        return as_plain(self)


def read_recipe(name: str | Path, size: Size = "quick", changes: Changes = NO_CHANGES) -> Recipe:
    """Read a recipe of a network; see :func:`read_as`."""
    return read_as(Recipe, name, size, changes)


def _check_split(repeats: int, test_share: float, validation_share: float) -> None:
    if repeats < 1 or not 0 < test_share < 1 or not 0 <= validation_share < 1:
        msg = f"a split needs repeats >= 1 and shares between 0 and 1, got {repeats}, {test_share}, {validation_share}"
        raise ValueError(msg)
