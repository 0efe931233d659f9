"""The report's sentences, numbers and names, made from StudyGrades; no markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from stenograde.grades import CellGrade, Measurement, Probabilities, Status, StudyGrades
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


def said_as(probabilities: Probabilities) -> str:
    """Return what may be said of a cell: a severity, either of two, or that it is uncertain.

    Examples
    --------
    >>> [said_as(Probabilities(shares)) for shares in ((0.0, 0.1, 0.9), (0.1, 0.5, 0.4), (0.3, 0.31, 0.39))]
    ['Severe', 'Moderate or severe', 'Uncertain']
    """
    first, *others = probabilities.said
    if len(others) == len(Severity) - 1:
        return "Uncertain"
    return " or ".join((first.shown, *(one.shown.lower() for one in others)))


def said_share(probabilities: Probabilities) -> str:
    """Return how probable it is what may be said of a cell; empty where that is nothing.

    Examples
    --------
    >>> [said_share(Probabilities(shares)) for shares in ((0.0, 0.08, 0.92), (0.1, 0.5, 0.4), (0.3, 0.31, 0.39))]
    ['92 %', '90 %', '']
    """
    said = probabilities.said
    return "" if len(said) == len(Severity) else percent(sum(probabilities[one.rank] for one in said))


def wording(grade: CellGrade) -> str | None:
    """Return what may be said of a graded cell in words; None of any other cell."""
    return said_as(grade.probabilities) if grade.severity and grade.probabilities else None


def findings(grades: StudyGrades) -> str:
    """Return what was found, worst first, one sentence per condition; empty when nothing was graded."""
    return " ".join(_found(condition, cells) for condition, cells in _by_condition(grades).items() if cells)


def gaps(grades: StudyGrades) -> str:
    """Return what has no grade: cells of a graded condition by their level, else whole conditions."""
    conditions = _by_condition(grades)
    sentences = _gaps(grades, [condition for condition, cells in conditions.items() if cells])
    drafted = drafted_conditions(grades)
    for what, is_draft in (("not graded", False), ("drafts only, not shown to hold on patients", True)):
        named = [
            _SHORT[condition]
            for condition, cells in conditions.items()
            if not cells and (condition in drafted) == is_draft
        ]
        if named:
            sentences.append(sentence(f"{joined(named)}{':' if is_draft else ''} {what}"))
    return " ".join(sentences)


def drafted_conditions(grades: StudyGrades) -> frozenset[Condition]:
    """Return the conditions that have drafts."""
    return frozenset(grade.cell.condition for grade in grades.cells if grade.status is Status.DRAFT)


def _by_condition(grades: StudyGrades) -> dict[Condition, list[CellGrade]]:
    """Return the graded cells of each condition of the scheme."""
    return {
        condition: [grade for grade in grades.cells if grade.cell.condition is condition and grade.severity]
        for condition in grades.scheme.conditions
    }


def second_opinion(grade: CellGrade) -> str:
    """Return what the second opinion of a cell says, and whether it disagrees; empty when there is none."""
    opinion = grade.second_opinion
    if opinion is None:
        return ""
    told = ", ".join(filter(None, (said_as(opinion.probabilities), said_share(opinion.probabilities))))
    said = f"second opinion ({opinion.source}): {told}"
    if not opinion.disagrees:
        return sentence(said)
    apart = abs(opinion.grades_apart)
    way = "worse" if opinion.grades_apart > 0 else "milder"
    return sentence(f"{said}; it disagrees: {apart:.1f} severities {way}")


def agreement(
    grades: StudyGrades, reference: Mapping[Cell, Severity], *, status: Status = Status.GRADED
) -> str:
    """Return how many graded cells are as the reference says, and which are not; empty without any to compare.

    Parameters
    ----------
    grades : StudyGrades
    reference : mapping
    status : Status
        Which cells are compared; drafts are compared apart from grades.
    """
    both = [(grade, reference[grade.cell]) for grade in grades.cells if grade.cell in reference]
    compared = [(grade, wanted, grade.probabilities) for grade, wanted in both if grade.status is status]
    sure = [(grade, wanted) for grade, wanted, shares in compared if shares and len(shares.said) == 1]
    others = [(grade, wanted) for grade, wanted in sure if grade.likeliest is not wanted]
    what = {Status.GRADED: "graded cells", Status.DRAFT: "drafts"}[status]
    if not compared and (status is Status.DRAFT or not both):
        return ""
    said = f"{len(sure) - len(others)} of {len(sure)} {what} are as the reference says"
    if len(sure) < len(compared):
        said += f"; {len(compared) - len(sure)} more are uncertain or between two severities"
    lacking = [grade for grade, _ in both if grade.status not in {Status.GRADED, Status.DRAFT}]
    if lacking and status is Status.GRADED:
        said += f"; {len(lacking)} more have no grade"
    if not others:
        return sentence(said)
    named = [
        f"{grade.cell.level.shown} {f'{grade.cell.side.value} ' if grade.cell.side else ''}"
        f"{_SHORT[grade.cell.condition]} ({grade.likeliest.shown}, reference {wanted.shown})"
        for grade, wanted in others
        if grade.likeliest
    ]
    if len(named) > _MOST_NAMED:
        named = [*named[:_MOST_NAMED], f"{len(named) - _MOST_NAMED} more"]
    return f"{sentence(said)} {sentence(f'not so: {joined(named)}')}"


def narrowed(grades: StudyGrades, condition: Condition, *, status: Status = Status.GRADED) -> str:
    """Return the narrowed places of a condition on one line, such as ``L4/L5 Severe, L3/L4 Moderate``; worst first."""
    cells = [(one, one.probabilities) for one in map(grades.of, grades.scheme.of(condition))]
    answered = [(one, shares) for one, shares in cells if shares and one.status is status]
    found = [
        " ".join(filter(None, (one.cell.level.shown, one.cell.side, said_as(shares))))
        for one, shares in sorted(answered, key=lambda item: mildness(item[1].said))
        if shares.said != (Severity.NORMAL_MILD,)
    ]
    what = "levels" if condition is Condition.SPINAL_CANAL_STENOSIS else "sides"
    n, kind = len(answered), "graded " if status is Status.GRADED else ""
    return ", ".join(found) or (f"all {n} {kind}{what} Normal/Mild" if n else "no level graded")


def mildness(said: tuple[Severity, ...]) -> float:
    """Return a key that sorts what is said of cells: worst first, then what is uncertain, then what is not narrow."""
    return -2 * sum(one.rank for one in said) // len(said) if len(said) < len(Severity) else -0.5


def level_doubt(grades: StudyGrades) -> str:
    """Return which level names are in doubt, and what to do then; empty when none is."""
    doubtful = [position.level.shown for position in grades.levels if not position.certain]
    if not doubtful:
        return ""
    what = "all levels" if len(doubtful) == len(grades.levels) else joined(doubtful)
    return f"{what}. Count the vertebrae before relying on the name of a level."


def level_count(grades: StudyGrades) -> str:
    """Return how levels whose names are not in doubt were counted, and what was taken for granted; empty without any.

    A sixth lumbar vertebra cannot be told from the lumbar field alone.
    """
    imaged = [position for position in grades.levels if position.imaged]
    if not imaged or level_doubt(grades):
        return ""
    return "Levels counted upward from the sacrum, taking five lumbar vertebrae for granted."


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
    answered = [(grade, grade.probabilities) for grade in cells if grade.probabilities]
    for said in sorted({shares.said for _, shares in answered}, key=mildness):
        alike = [(grade, shares) for grade, shares in answered if shares.said == said]
        words, places = said_as(alike[0][1]).lower(), joined(_places([grade for grade, _ in alike]))
        if len(said) == len(Severity):
            clauses.append(f"{'' if clauses else f'{name} '}{words} at {places}")
        elif said != (Severity.NORMAL_MILD,):
            clauses.append(f"{words} {'' if clauses else f'{name} '}at {places}")
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


def measured_here(grade: CellGrade) -> str:
    """Return what was measured of a cell alone, as a sentence; empty when nothing was."""
    told = [
        f"{one.quantity.shown.lower()} {value_of(one)} {one.quantity.unit.shown}".rstrip()
        for one in grade.measurements
    ]
    return sentence(", ".join(told)) if told else ""


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
