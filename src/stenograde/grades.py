"""What we say about a study: StudyGrades with its cells, probabilities, evidence, measurements and outlines.

Nothing here knows a file format; :mod:`stenograde.report` writes it down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

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


class Probabilities(tuple[float, float, float]):
    """P(Normal/Mild), P(Moderate) and P(Severe): finite, at least 0, of sum 1.

    Raises
    ------
    ValueError
        If they are not.
    """

    __slots__ = ()

    def __new__(cls, shares: Iterable[float]) -> Self:
        """Take the three in the order of :class:`~stenograde.terms.Severity`."""
        three = tuple(float(share) + 0.0 for share in shares)  # never -0.0
        # written so that a NaN counts as wrong
        if len(three) != len(Severity) or not (min(three) >= 0 and abs(sum(three) - 1) <= 1e-6):
            msg = f"probabilities must be {len(Severity)} of at least 0 that sum to 1, got {three}"
            raise ValueError(msg)
        return super().__new__(cls, three)

    @property
    def severity(self) -> Severity:
        """Most probable severity, the milder one of equals."""
        return tuple(Severity)[self.index(max(self))]

    @property
    def expected_rank(self) -> float:
        """Mean severity, from 0 for Normal/Mild to 2 for Severe.

        Examples
        --------
        >>> Probabilities((0.5, 0.0, 0.5)).expected_rank
        1.0
        """
        return sum(rank * share for rank, share in enumerate(self))

    def pooled(self, other: Probabilities) -> Probabilities:
        """Return the logarithmic pool of two opinions: their geometric mean, made to sum to 1.

        Opinions that exclude each other's every severity leave nothing to choose by: all are alike then.

        References
        ----------
        Genest and Zidek, Statistical Science 1986;1:114, doi:10.1214/ss/1177013825.

        Examples
        --------
        >>> one, other = Probabilities((0.5, 0.5, 0.0)), Probabilities((0.1, 0.4, 0.5))
        >>> [round(share, 2) for share in one.pooled(other)]
        [0.33, 0.67, 0.0]
        """
        shares = np.sqrt(np.multiply(self, other))
        total = shares.sum()
        return Probabilities(shares / total) if total > 0 else EVEN_ODDS


EVEN_ODDS = Probabilities((1 / 3, 1 / 3, 1 / 3))
"""Probabilities of a cell about which nothing is known."""


@dataclass(frozen=True)
class Measurement:
    """A value, in the unit of its quantity, and the points it was taken between."""

    quantity: Quantity
    level: Level | None
    value: float
    points: tuple[Point, ...]


@dataclass(frozen=True)
class SecondOpinion:
    """What an independent way of grading says of a cell."""

    source: str
    """Which way, as a phrase."""
    probabilities: Probabilities
    grades_apart: float
    """How many severities its mean lies above that of the grader; negative below."""
    disagrees: bool
    """Whether the difference is large enough that a reader should know."""


@dataclass(frozen=True)
class CellGrade:
    """Grade of one cell, or the reason why there is none.

    Raises
    ------
    ValueError
        If a graded cell lacks probabilities, or a cell without a grade lacks a reason.
    """

    cell: Cell
    status: Status
    reason: str = ""
    """Why there is no grade; of a grade, what should be known of it."""
    probabilities: Probabilities | None = None
    """Kept for an abstained cell, too: what it would have been graded by."""
    point: Point | None = None
    evidence: tuple[Evidence, ...] = ()
    second_opinion: SecondOpinion | None = None

    def __post_init__(self) -> None:
        graded = self.status is Status.GRADED
        if not (self.probabilities if graded else self.reason):
            must = "have probabilities" if graded else "say why"
            msg = f"{self.cell.name}: a cell that is {self.status} must {must}, got none"
            raise ValueError(msg)

    @property
    def severity(self) -> Severity | None:
        """Most probable severity of a graded cell; None for any other."""
        if self.status is not Status.GRADED or self.probabilities is None:
            return None
        return self.probabilities.severity


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
class MidSagittal:
    """What the locator saw on the mid-sagittal slice, for the report's pictures."""

    slice: Evidence
    """The slice; row and column are those of the canal's middle."""
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
    mid_sagittal: MidSagittal | None = None
    caution: str = ""
    """What a reader must know of all grades, as a phrase; it is among the warnings too."""

    def __post_init__(self) -> None:
        if tuple(grade.cell for grade in self.cells) != self.scheme.cells:
            msg = f"study grades must cover the {len(self.scheme.cells)} cells of {self.scheme.name} in order"
            raise ValueError(msg)

    def of(self, cell: Cell) -> CellGrade:
        """Grade of one cell."""
        return self.cells[self.scheme.cells.index(cell)]
