"""What we say about a study: StudyGrades with its cells, probabilities, evidence, measurements and outlines.

Nothing here knows a file format; :mod:`stenograde.report` writes it down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stenograde.evidence import ConditionEvidence
from stenograde.terms import Cell, Condition, Level, Quantity, Role, Scheme, Severity, Structure, Unused

Point = tuple[float, float, float]
"""A position in patient space: x, y, z in LPS mm."""


SAID_FROM = 0.6
"""A severity is said as a fact from this probability on."""

PAIR_SAID_FROM = 0.8
"""Two neighbouring severities, such as moderate or severe, are said from this probability of either on."""


def is_said(share: float) -> bool | None:
    """Whether a finding is said to be there, by its probability of yes; None where it is uncertain."""
    return True if share >= SAID_FROM else False if 1 - share >= SAID_FROM else None


class Status(StrEnum):
    """Whether a cell has a grade, and if not, of which kind the reason is."""

    GRADED = "graded"
    DRAFT = "draft"
    """Answered by what has seen no patient and was not shown to hold on patients: not a finding."""
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
    def said(self) -> tuple[Severity, ...]:
        """Severities that may be said: one, two neighbours, or all where nothing can be said.

        Examples
        --------
        >>> [len(Probabilities(p).said) for p in ((0.1, 0.2, 0.7), (0.1, 0.5, 0.4), (0.5, 0.1, 0.4))]
        [1, 2, 3]
        """
        if max(self) >= SAID_FROM:
            return (self.severity,)
        upper = int(self[2] > self[0])
        both = self[upper] + self[upper + 1] >= PAIR_SAID_FROM
        return tuple(Severity)[upper : upper + 2] if both else tuple(Severity)

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
        If a graded cell or a draft lacks probabilities, or a cell that is not graded lacks a reason.
    """

    cell: Cell
    status: Status
    reason: str = ""
    """Why there is no grade; of a grade, what should be known of it."""
    probabilities: Probabilities | None = None
    """Kept for an abstained cell and a draft, too: what it would have been graded by."""
    point: Point | None = None
    evidence: tuple[Evidence, ...] = ()
    second_opinion: SecondOpinion | None = None
    measurements: tuple[Measurement, ...] = ()
    """What was measured of this cell alone; points are those of an outline."""

    def __post_init__(self) -> None:
        graded, draft = self.status is Status.GRADED, self.status is Status.DRAFT
        lacks = {
            "have probabilities": (graded or draft) and not self.probabilities,
            "say why": not graded and not self.reason,
        }
        for must in (rule for rule, broken in lacks.items() if broken):
            msg = f"{self.cell.name}: a cell that is {self.status} must {must}, got none"
            raise ValueError(msg)

    @property
    def severity(self) -> Severity | None:
        """Most probable severity of a graded cell; None for any other."""
        return self.likeliest if self.status is Status.GRADED else None

    @property
    def likeliest(self) -> Severity | None:
        """Most probable severity of any cell with probabilities, a draft or an abstained one, too."""
        return self.probabilities.severity if self.probabilities else None


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


class DiscFinding(StrEnum):
    """What is asked of a disc and answered by yes or no; its Pfirrmann grade is asked beside."""

    NARROWING = "narrowing"
    HERNIATION = "herniation"
    BULGING = "bulging"
    SPONDYLOLISTHESIS = "spondylolisthesis"
    MODIC_CHANGE = "modic_change"
    UPPER_END_PLATE = "upper_end_plate"
    LOWER_END_PLATE = "lower_end_plate"

    @property
    def shown(self) -> str:
        """Name in a report."""
        words = self.value.replace("_", " ").capitalize()
        return f"{words} changed" if words.endswith("plate") else words


PFIRRMANN_GRADES = (1, 2, 3, 4, 5)
"""Grades of a disc's degeneration, from bright and high to collapsed (Pfirrmann et al.,
doi:10.1097/00007632-200109010-00011)."""

PFIRRMANN = "pfirrmann"
"""Name of the Pfirrmann grade where it stands among findings."""


@dataclass(frozen=True)
class DiscFindings:
    """What is found of one disc, or the reason why nothing is said.

    Raises
    ------
    ValueError
        If a graded disc has no answers, one that is not graded has some or lacks a reason, or shares are none.
    """

    level: Level
    status: Status
    reason: str = ""
    """Why nothing is said; of a graded disc, what should be known of it."""
    probabilities: Mapping[DiscFinding, float] = field(default_factory=dict)
    """Probability of yes of each finding that the bundle asks for."""
    pfirrmann: tuple[float, ...] = ()
    """Probability of each of :data:`PFIRRMANN_GRADES`; empty where the bundle does not ask for them."""
    grade: int | None = None
    """The Pfirrmann grade that is told where one is."""
    evidence: tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        graded = self.status is Status.GRADED
        has_answers = bool(self.probabilities or self.pfirrmann)
        if graded != has_answers or not (graded or self.reason):
            msg = f"{self.level.shown}: a disc must have findings, or a reason why it has none, got {self.status}"
            raise ValueError(msg)
        shares = (*self.probabilities.values(), *self.pfirrmann)
        n_grades = len(self.pfirrmann)
        sound = all(0 <= share <= 1 for share in shares) and n_grades in (0, len(PFIRRMANN_GRADES))
        whole = not n_grades or abs(sum(self.pfirrmann) - 1) <= 1e-6
        if not (sound and whole) or bool(n_grades) != bool(self.grade):
            msg = f"{self.level.shown}: findings must be probabilities, and those of Pfirrmann's grades sum to 1"
            raise ValueError(msg)

    @property
    def said_grades(self) -> tuple[int, ...]:
        """Pfirrmann grades that may be said: one, two neighbours, or none where nothing can be said."""
        for n, least in ((1, SAID_FROM), (2, PAIR_SAID_FROM)):
            sums = [sum(self.pfirrmann[first : first + n]) for first in range(len(self.pfirrmann) - n + 1)]
            first = sums.index(max(sums)) if sums else 0
            if sums and sums[first] >= least and self.grade in PFIRRMANN_GRADES[first : first + n]:
                return PFIRRMANN_GRADES[first : first + n]
        return ()


@dataclass(frozen=True)
class DiscScore:
    """How well a finding of discs was answered on patients that were not trained on."""

    finding: str
    """A :class:`DiscFinding`, or :data:`PFIRRMANN`."""
    score: float
    """Area under the ROC curve; of the Pfirrmann grade Cohen's quadratic kappa."""
    low: float
    high: float
    """Ends of the 95 % interval over patients."""
    level_share: float
    """The same of an answer that knows nothing but the level."""
    discs: int
    patients: int
    positives: int
    """Discs that have it; of the Pfirrmann grade, those of grade 4 or 5."""

    def __post_init__(self) -> None:
        if self.finding not in (*DiscFinding, PFIRRMANN):
            msg = f"a score of discs must be of {', '.join((*DiscFinding, PFIRRMANN))}, got {self.finding!r}"
            raise ValueError(msg)

    @property
    def measure(self) -> str:
        """Which score it is, in words."""
        return "quadratic kappa" if self.finding == PFIRRMANN else "AUC"


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
    evidence: Mapping[Condition, ConditionEvidence] = field(default_factory=dict)
    """What the bundle states of its grades, by condition; empty where it states nothing."""
    discs: tuple[DiscFindings, ...] = ()
    """Findings of each disc of the scheme; empty where the bundle asks for none."""
    disc_scores: tuple[DiscScore, ...] = ()
    """What the bundle states of its findings of discs."""
    disc_source: str = ""
    """The patients that they were learnt from, with the licence."""

    def __post_init__(self) -> None:
        if tuple(grade.cell for grade in self.cells) != self.scheme.cells:
            msg = f"study grades must cover the {len(self.scheme.cells)} cells of {self.scheme.name} in order"
            raise ValueError(msg)

    def of(self, cell: Cell) -> CellGrade:
        """Grade of one cell."""
        return self.cells[self.scheme.cells.index(cell)]
