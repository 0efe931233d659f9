"""What the grades of a bundle rest on, and what they were shown to do on patients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

LEARNT_PATIENTS = 50
"""Patients on whom what was learnt must be scored: of fewer, the level's share is itself too uncertain to be beaten."""

DRAFT_PATIENTS, DRAFT_CELLS = 10, 100
"""Patients and cells on which grades learnt from phantoms must have been better than the level's share alone."""


class RestsOn(StrEnum):
    """What the grades of a condition rest on."""

    MEASURED = "measured"
    """Published thresholds on anatomy that a network trained on patients has outlined."""
    LEARNT = "learnt"
    """A network that has learnt from patients."""
    PHANTOMS_ONLY = "phantoms only"
    """A network that has seen phantoms only."""


@dataclass(frozen=True)
class ConditionEvidence:
    """What the grades of a condition rest on, and what they were shown to do on patients.

    Raises
    ------
    ValueError
        If numbers are negative or not finite, or a score does not say of how many patients and cells, by which command
        and against which score of the level's share it is.
    """

    kind: RestsOn
    patients: int = 0
    """On whom it was scored; they were not trained on."""
    cells: int = 0
    score: float | None = None
    """Weighted logarithmic loss of RSNA 2024 on these cells; less is better."""
    level_share: float | None = None
    """The same of an answer that knows nothing but how common the severities are at each level."""
    command: str = ""
    """What printed the scores."""
    note: str = ""
    """What else a reader should know of it, as a phrase."""
    difference_high: float | None = None
    """Upper end of the 95 % interval of the score less the level's share, over patients, where it is known."""

    def __post_init__(self) -> None:
        scores = [one for one in (self.score, self.level_share) if one is not None]
        sound = all(math.isfinite(one) and one >= 0 for one in scores)
        told = self.cells >= self.patients >= 1 and self.command and len(scores) == 2
        nothing = not scores and self.patients == self.cells == 0
        if not sound or not (told or nothing):
            msg = (
                "evidence must have score, level_share, patients, cells and command, or none of them, got "
                f"{self.score}, {self.level_share}, {self.patients}, {self.cells}, {self.command!r}"
            )
            raise ValueError(msg)

    @property
    def is_shown(self) -> bool:
        """Whether it was better than the level's share on enough patients and cells."""
        enough = self.patients >= DRAFT_PATIENTS and self.cells >= DRAFT_CELLS
        return (
            enough
            and self.score is not None
            and self.level_share is not None
            and self.score < self.level_share
        )

    @property
    def is_draft(self) -> bool:
        """Whether a reader must not take its grades for findings.

        What rests on phantoms alone must be shown on patients; what was learnt from patients must be better than the
        level's share where its score is known, and by more than chance where that is.
        """
        if self.kind is RestsOn.LEARNT and self.score is not None and self.level_share is not None:
            away = self.score - self.level_share if self.difference_high is None else self.difference_high
            return away >= 0 or self.patients < LEARNT_PATIENTS
        return self.kind is RestsOn.PHANTOMS_ONLY and not self.is_shown
