"""The report's sentences, numbers and names, made from StudyGrades; no markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from stenograde.grades import CellGrade, Measurement, Status, StudyGrades
from stenograde.terms import Cell, Condition, Level, Severity, Side, Unit

_SHORT = {
    Condition.SPINAL_CANAL_STENOSIS: "canal stenosis",
    Condition.NEURAL_FORAMINAL_NARROWING: "foraminal narrowing",
    Condition.SUBARTICULAR_STENOSIS: "subarticular stenosis",
}
"""Conditions as they stand within a sentence."""

_PLACES = {
    Condition.SPINAL_CANAL_STENOSIS: "canal",
    Condition.NEURAL_FORAMINAL_NARROWING: "foramen",
    Condition.SUBARTICULAR_STENOSIS: "subarticular zone",
}
"""Where each condition is."""

_MOST_NAMED = 6
"""So many cells that differ from the reference are named in one sentence."""


def findings(grades: StudyGrades) -> str:
    """Return what was found, worst first, one sentence per condition; empty when nothing was graded."""
    return " ".join(_found(condition, cells) for condition, cells in _by_condition(grades).items() if cells)


def gaps(grades: StudyGrades) -> str:
    """Return what has no grade: cells of a graded condition by their level, else whole conditions."""
    conditions = _by_condition(grades)
    sentences = _gaps(grades, [condition for condition, cells in conditions.items() if cells])
    ungraded = [_SHORT[condition] for condition, cells in conditions.items() if not cells]
    if ungraded:
        sentences.append(sentence(f"{joined(ungraded)} not graded"))
    return " ".join(sentences)


def _by_condition(grades: StudyGrades) -> dict[Condition, list[CellGrade]]:
    """Return the graded cells of each condition of the scheme."""
    conditions = dict.fromkeys(cell.condition for cell in grades.scheme.cells)
    return {
        condition: [grade for grade in grades.cells if grade.cell.condition is condition and grade.severity]
        for condition in conditions
    }


def second_opinion(grade: CellGrade) -> str:
    """Return what the second opinion of a cell says, and whether it disagrees; empty when there is none."""
    opinion = grade.second_opinion
    if opinion is None:
        return ""
    severity, share = opinion.probabilities.severity, percent(max(opinion.probabilities))
    said = f"second opinion ({opinion.source}): {severity.shown}, {share}"
    if not opinion.disagrees:
        return sentence(said)
    apart = abs(opinion.grades_apart)
    way = "worse" if opinion.grades_apart > 0 else "milder"
    return sentence(f"{said}; it disagrees: {apart:.1f} severities {way}")


def agreement(grades: StudyGrades, reference: Mapping[Cell, Severity]) -> str:
    """Return how many cells have the grade of the reference, and which do not; empty without a reference."""
    both = [(grade, reference[grade.cell]) for grade in grades.cells if grade.cell in reference]
    if not both:
        return ""
    graded = [(grade, wanted) for grade, wanted in both if grade.severity]
    others = [(grade, wanted) for grade, wanted in graded if grade.severity is not wanted]
    said = f"{len(graded) - len(others)} of {len(graded)} graded cells are as the reference says"
    if len(graded) < len(both):
        said += f"; {len(both) - len(graded)} more have no grade"
    if not others:
        return sentence(said)
    named = [
        f"{grade.cell.level.shown} {f'{grade.cell.side.value} ' if grade.cell.side else ''}"
        f"{_SHORT[grade.cell.condition]} ({grade.severity.shown}, reference {wanted.shown})"
        for grade, wanted in others
        if grade.severity
    ]
    if len(named) > _MOST_NAMED:
        named = [*named[:_MOST_NAMED], f"{len(named) - _MOST_NAMED} more"]
    return f"{sentence(said)} {sentence(f'not so: {joined(named)}')}"


def narrowed(grades: StudyGrades, condition: Condition) -> str:
    """Return the narrowed places of a condition on one line, such as ``L4/L5 Severe, L3/L4 Moderate``; worst first."""
    graded = [one for one in map(grades.of, grades.scheme.of(condition)) if one.severity is not None]
    worst_first = sorted(graded, key=lambda one: -one.severity.rank if one.severity else 0)
    found = [
        " ".join(filter(None, (one.cell.level.shown, one.cell.side, one.severity.shown)))
        for one in worst_first
        if one.severity and one.severity.rank > 0
    ]
    what = "levels" if condition is Condition.SPINAL_CANAL_STENOSIS else "sides"
    nothing = f"all {len(graded)} graded {what} Normal/Mild" if graded else "no level graded"
    return ", ".join(found) or nothing


def level_doubt(grades: StudyGrades) -> str:
    """Return which level names are in doubt, and what to do then; empty when none is."""
    doubtful = [position.level.shown for position in grades.levels if not position.certain]
    if not doubtful:
        return ""
    what = "all levels" if len(doubtful) == len(grades.levels) else joined(doubtful)
    return f"{what}. Count the vertebrae before relying on the name of a level."


def place_of(cell: Cell) -> str:
    """Return what a cell of a level is, without the level.

    Examples
    --------
    >>> place_of(Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L4_L5, Side.LEFT))
    'Left foramen'
    """
    return sentence(f"{cell.side.value if cell.side else ''} {_PLACES[cell.condition]}", "").strip()


def _found(condition: Condition, cells: Sequence[CellGrade]) -> str:
    name = _SHORT[condition]
    clauses: list[str] = []
    for severity in (Severity.SEVERE, Severity.MODERATE):
        places = _places([grade for grade in cells if grade.severity is severity])
        if places:
            clauses.append(f"{severity.shown.lower()} {'' if clauses else f'{name} '}at {joined(places)}")
    if not clauses:
        n_levels = len({grade.cell.level for grade in cells})
        where = "the one graded level" if n_levels == 1 else f"the {n_levels} graded levels"
        clauses = [f"no moderate or severe {name} at {where}"]
    return sentence("; ".join(clauses))


def _places(cells: Sequence[CellGrade]) -> list[str]:
    """Return levels, with their sides where the condition has sides."""
    sides: dict[Level, list[Side]] = {}
    for grade in cells:
        sides.setdefault(grade.cell.level, []).extend([grade.cell.side] if grade.cell.side else [])
    return [
        level.shown + {0: "", 1: f" {at[0].value if at else ''}"}.get(len(at), " both sides")
        for level, at in sorted(sides.items())
    ]


def _gaps(grades: StudyGrades, conditions: Sequence[Condition]) -> list[str]:
    """Say which cells of the graded conditions have no grade."""
    sentences = []
    for condition in conditions:
        for status, words in (
            (Status.NOT_IMAGED, "not imaged"),
            (Status.ABSTAINED, "no grade given (abstained)"),
        ):
            cells = [
                grade
                for grade in grades.cells
                if grade.cell.condition is condition and grade.status is status
            ]
            if cells:
                sentences.append(sentence(f"{_SHORT[condition]} at {joined(_places(cells))}: {words}"))
    return sentences


def joined(items: Iterable[str]) -> str:
    """Join as people do.

    Examples
    --------
    >>> joined(["L1/L2", "L2/L3", "L4/L5"])
    'L1/L2, L2/L3 and L4/L5'
    """
    *first, last = list(items) or [""]
    return f"{', '.join(first)} and {last}" if first else last


def percent(share: float) -> str:
    """Return a probability in whole per cent, never rounded to impossible or certain.

    Examples
    --------
    >>> percent(0.724), percent(0.0004), percent(0.9999)
    ('72 %', '<1 %', '>99 %')
    """
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def value_of(measurement: Measurement) -> str:
    """Return the value as text, with as many digits as the way of measuring deserves.

    Examples
    --------
    >>> from stenograde.terms import Quantity
    >>> value_of(Measurement(Quantity.CANAL_AP_DIAMETER, None, 8.349, ()))
    '8.3'
    >>> value_of(Measurement(Quantity.DURAL_SAC_AREA, None, 151.7, ()))
    '152'
    """
    if not math.isfinite(measurement.value):
        return "not measured"
    if abs(measurement.value) >= 100:
        return f"{measurement.value:.0f}"
    return f"{measurement.value:.{2 if measurement.quantity.unit is Unit.ONE else 1}f}"


def sentence(text: str, stop: str = ".") -> str:
    """Return a phrase as a sentence.

    Examples
    --------
    >>> sentence("the sacrum was not seen")
    'The sacrum was not seen.'
    """
    stripped = text.strip()
    end = "" if not stripped or stripped.endswith((".", "!", "?")) else stop
    return stripped[:1].upper() + stripped[1:] + end
