"""What we say about a study: StudyGrades with its cells, evidence, measurements and outlines.

Nothing here knows a file format; :mod:`stenograde.report` writes it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from stenograde.terms import Cell, Level, Quantity, Role, Scheme, Severity, Structure, Unused

Point = tuple[float, float, float]
"""A position in patient space: x, y, z in LPS mm."""


class Status(StrEnum):
    """Whether a cell has a grade, and if not, of which kind the reason is."""

    GRADED = "graded"
    ABSTAINED = "abstained"
    NOT_IMAGED = "not_imaged"
    NOT_GRADED = "not_graded"


@dataclass(frozen=True)
class Evidence:
    """The pixel of an instance that a statement rests on."""

    series_uid: str
    sop_instance_uid: str
    row: float
    """Row, from 0, in pixels."""
    column: float
    """Column, from 0, in pixels."""
    frame: int = 0
    """Frame within the instance, from 0."""


@dataclass(frozen=True)
class Measurement:
    """A value, in the unit of its quantity, and the points it was taken between."""

    quantity: Quantity
    level: Level | None
    value: float
    points: tuple[Point, ...]


@dataclass(frozen=True)
class SecondOpinion:
    """What an independent way of grading says of a cell.

    Raises
    ------
    ValueError
        If the probabilities do not sum to one.
    """

    source: str
    """Which way, as a phrase."""
    probabilities: tuple[float, float, float]
    """P(Normal/Mild), P(Moderate), P(Severe)."""
    grades_apart: float
    """How many severities its mean lies above that of the grader; negative below."""
    disagrees: bool
    """Whether that is so much that a reader should know."""

    def __post_init__(self) -> None:
        _check_probabilities("a second opinion", self.probabilities)

    @property
    def severity(self) -> Severity:
        """Most probable severity."""
        return tuple(Severity)[int(np.argmax(self.probabilities))]


@dataclass(frozen=True)
class CellGrade:
    """Grade of one cell, or the reason why there is none.

    Raises
    ------
    ValueError
        If a graded cell lacks probabilities that sum to one, or a cell without a grade lacks a reason.
    """

    cell: Cell
    status: Status
    reason: str = ""
    """Why there is no grade; of a grade, what should be known of it."""
    probabilities: tuple[float, float, float] | None = None
    """P(Normal/Mild), P(Moderate), P(Severe); of an abstained cell, what it would have said."""
    point: Point | None = None
    evidence: tuple[Evidence, ...] = ()
    second_opinion: SecondOpinion | None = None

    def __post_init__(self) -> None:
        if self.status is Status.GRADED:
            _check_probabilities(self.cell.name, self.probabilities)
        elif not self.reason:
            msg = f"{self.cell.name}: a cell that is {self.status} must say why, got no reason"
            raise ValueError(msg)

    @property
    def severity(self) -> Severity | None:
        """Most probable severity of a graded cell; None for any other."""
        if self.status is not Status.GRADED or self.probabilities is None:
            return None
        return tuple(Severity)[int(np.argmax(self.probabilities))]


def pooled(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the logarithmic pool of two opinions: their geometric mean, made to sum to 1.

    Opinions that exclude each other's every severity leave nothing to choose by: all are alike then.

    References
    ----------
    Genest and Zidek, Statistical Science 1986;1:114, doi:10.1214/ss/1177013825.

    Examples
    --------
    >>> [round(share, 2) for share in pooled((0.5, 0.5, 0.0), (0.1, 0.4, 0.5))]
    [0.33, 0.67, 0.0]
    """
    shares = np.sqrt(np.multiply(one, other))
    total = float(shares.sum())
    normal_mild, moderate, severe = (shares / total).tolist() if total > 0 else (1 / 3, 1 / 3, 1 / 3)
    return normal_mild, moderate, severe


def expected_rank(probabilities: tuple[float, float, float]) -> float:
    """Return the mean severity of probabilities, 0 for Normal/Mild to 2 for Severe.

    Examples
    --------
    >>> expected_rank((0.5, 0.0, 0.5))
    1.0
    """
    return sum(rank * share for rank, share in enumerate(probabilities))


def _check_probabilities(what: str, probabilities: tuple[float, float, float] | None) -> None:
    if probabilities is None or abs(sum(probabilities) - 1) > 1e-6 or min(probabilities) < 0:
        msg = f"{what}: probabilities must be three that sum to 1, got {probabilities}"
        raise ValueError(msg)


@dataclass(frozen=True)
class LevelPosition:
    """Where a level lies; ``point`` is the canal centre at the disc, None when it was not imaged."""

    level: Level
    point: Point | None
    imaged: bool
    certain: bool
    """False when the name of the level is in doubt (sacrum not seen, transitional vertebra)."""


@dataclass(frozen=True)
class SeriesUse:
    """A series, its role, and why it has that role."""

    uid: str
    role: Role | None
    why: str


@dataclass(frozen=True, eq=False)
class Outline:
    """Border of a structure on one slice, to be drawn."""

    structure: Structure
    name: str
    """Such as ``L4`` or ``L4/L5``; empty for the canal."""
    points: NDArray[np.float64]
    """Shape (n, 3), LPS mm; a closed line."""


@dataclass(frozen=True, eq=False)
class CanalProfile:
    """Anteroposterior canal diameter along the canal, from head to feet."""

    distance_mm: NDArray[np.float64]
    """Shape (n,): way along the centre line from its upper end, mm."""
    diameter_mm: NDArray[np.float64]
    """Shape (n,): anteroposterior diameter, mm; NaN where it could not be measured."""
    centre: NDArray[np.float64]
    """Shape (n, 3): centre line, LPS mm."""
    levels: tuple[tuple[Level, float], ...]
    """Each imaged level with its place along ``distance_mm``."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What the locator saw, for the report's pictures."""

    mid: Evidence
    """The mid-sagittal slice (row and column of the image centre of the canal)."""
    outlines: tuple[Outline, ...]
    profile: CanalProfile | None


@dataclass(frozen=True)
class BundleStamp:
    """Which bundle graded."""

    name: str
    version: str
    hash: str


@dataclass(frozen=True, eq=False)
class StudyGrades:
    """Everything we say about one study."""

    study_uid: str
    scheme: Scheme
    bundle: BundleStamp
    series: tuple[SeriesUse, ...]
    levels: tuple[LevelPosition, ...]
    cells: tuple[CellGrade, ...]
    measurements: tuple[Measurement, ...]
    unused: tuple[Unused, ...]
    warnings: tuple[str, ...]
    seconds: float
    anatomy: Anatomy | None = None
    caution: str = ""
    """What a reader must know of all grades, as a phrase; it is among the warnings too."""

    def __post_init__(self) -> None:
        if tuple(grade.cell for grade in self.cells) != self.scheme.cells:
            msg = f"study grades must cover the {len(self.scheme.cells)} cells of {self.scheme.name} in order"
            raise ValueError(msg)

    def of(self, cell: Cell) -> CellGrade:
        """Grade of one cell."""
        return self.cells[self.scheme.cells.index(cell)]
