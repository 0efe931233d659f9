"""Sentences about findings of discs; no markup. What is said as a fact follows the same limits as the severities."""

from __future__ import annotations

from collections.abc import Iterator

from stenograde.grades import PFIRRMANN, DiscFinding, DiscFindings, StudyGrades, is_said
from stenograde.report.words import joined, percent, sentence


def said_of(share: float) -> str:
    """Return what may be said of a finding.

    Examples
    --------
    >>> [said_of(share) for share in (0.6, 0.5, 0.4)]
    ['Yes', 'Uncertain', 'No']
    """
    return {True: "Yes", False: "No", None: "Uncertain"}[is_said(share)]


def said_share(share: float) -> str:
    """Return how probable it is what is said of a finding; of what is uncertain, the probability of yes.

    Examples
    --------
    >>> [said_share(share) for share in (0.9, 0.5, 0.1)]
    ['90 %', '50 %', '90 %']
    """
    return percent(1 - share if said_of(share) == "No" else share)


def pfirrmann_said(disc: DiscFindings) -> str:
    """Return what may be said of a Pfirrmann grade: one, one of two neighbours, or about which it is; empty without.

    Examples
    --------
    >>> from stenograde.grades import Status
    >>> from stenograde.terms import Level
    >>> def said(*shares, grade):
    ...     return pfirrmann_said(DiscFindings(Level.L4_L5, Status.GRADED, pfirrmann=shares, grade=grade))
    >>> said(0, 0, 0.1, 0.7, 0.2, grade=4), said(0, 0.1, 0.5, 0.4, 0, grade=3), said(0.1, 0.3, 0.3, 0.3, 0, grade=3)
    ('4', '3 or 4', 'About 3')
    >>> said(0, 0, 0.1, 0.65, 0.25, grade=5)  # the grade that is scored is among those that are said
    '4 or 5'
    """
    if not disc.pfirrmann:
        return ""
    return " or ".join(map(str, disc.said_grades)) or f"About {disc.grade}"


def text_of(disc: DiscFindings) -> str:
    """Return the findings of a disc within a line of text; empty where nothing is said of it."""
    if not disc.probabilities and not disc.pfirrmann:
        return ""
    found = [f"{_within(one)} {percent(p)}" for one, p in disc.probabilities.items() if said_of(p) == "Yes"]
    unsure = [_within(one) for one, p in disc.probabilities.items() if said_of(p) == "Uncertain"]
    told = [joined(found) or "no finding"]
    told += [f"uncertain: {joined(unsure)}"] if unsure else []
    grade = pfirrmann_said(disc)
    told += [f"Pfirrmann grade {grade.lower()}"] if grade else []
    return f"disc: {', '.join(told)}"


def unanswered(grades: StudyGrades) -> Iterator[str]:
    """Give, for each reason why discs have no findings, the discs and the reason."""
    levels: dict[str, list[str]] = {}
    for disc in grades.discs:
        if disc.reason:
            levels.setdefault(disc.reason, []).append(disc.level.shown)
    for reason, shown in levels.items():
        yield sentence(f"{joined(shown)}: {reason}")


def finding_named(name: str) -> str:
    """Return the name of a finding, or of the Pfirrmann grade.

    Examples
    --------
    >>> finding_named("modic_change"), finding_named("pfirrmann")
    ('Modic change', 'Pfirrmann grade')
    """
    return "Pfirrmann grade" if name == PFIRRMANN else DiscFinding(name).shown


def _within(finding: DiscFinding) -> str:
    shown = finding.shown
    return shown if finding is DiscFinding.MODIC_CHANGE else shown[:1].lower() + shown[1:]
