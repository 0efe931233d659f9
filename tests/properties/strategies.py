"""Hypothesis strategies for what stenograde says about a study."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.grades import (
    BundleStamp,
    CellGrade,
    Evidence,
    LevelPosition,
    Measurement,
    Point,
    Probabilities,
    SecondOpinion,
    SeriesUse,
    Status,
    StudyGrades,
)
from stenograde.terms import SCHEMES, Condition, Level, Quantity, Role, Scheme, Unused

any_text = st.text(max_size=40)
"""Any text, markup and formulas included."""

some_text = st.text(min_size=1, max_size=40)
uids = st.from_regex(r"2\.25\.[1-9][0-9]{0,12}", fullmatch=True)
numbers = st.floats(-1e4, 1e4)
any_number = st.floats(allow_nan=True, allow_infinity=True)
"""Numbers as a faulty measurement may give them."""

points: st.SearchStrategy[Point] = st.tuples(numbers, numbers, numbers)
evidence = st.builds(Evidence, uids, uids, numbers, numbers, st.integers(0, 40))
stamps = st.builds(BundleStamp, some_text, some_text, some_text)
series_uses = st.builds(SeriesUse, uids, st.none() | st.sampled_from(Role), any_text)
unused = st.builds(Unused, any_text, any_text)


@st.composite
def probabilities(draw: st.DrawFn) -> Probabilities:
    """Three probabilities that sum to one."""
    weights = draw(st.tuples(*[st.floats(0, 1)] * 3).filter(lambda three: sum(three) > 1e-3))
    total = math.fsum(weights)
    return Probabilities(weight / total for weight in weights)


@st.composite
def second_opinions(draw: st.DrawFn) -> SecondOpinion:
    """Any second opinion."""
    return SecondOpinion(draw(some_text), draw(probabilities()), draw(st.floats(-2, 2)), draw(st.booleans()))


@st.composite
def sayings(draw: st.DrawFn) -> dict[str, Any]:
    """Any grade, or any reason for having none: what a cell grade says besides its cell."""
    status = draw(st.sampled_from(Status))
    answered = status in {Status.GRADED, Status.DRAFT}
    return {
        "status": status,
        "reason": draw(any_text if status is Status.GRADED else some_text),
        "probabilities": draw(probabilities() if answered else st.none() | probabilities()),
        "point": draw(points | st.none()),
        "evidence": tuple(draw(st.lists(evidence, max_size=2))),
        "second_opinion": draw(st.none() | second_opinions()),
    }


@st.composite
def evidence_on_patients(draw: st.DrawFn) -> ConditionEvidence:
    """What may be known of a condition on patients."""
    kind = draw(st.sampled_from(RestsOn))
    if draw(st.booleans()):
        return ConditionEvidence(kind, note=draw(any_text))
    patients, scores = draw(st.integers(1, 500)), st.floats(0, 40)
    cells = patients + draw(st.integers(0, 5000))
    return ConditionEvidence(
        kind, patients, cells, draw(scores), draw(scores), draw(some_text), draw(any_text)
    )


@st.composite
def level_positions(draw: st.DrawFn, level: Level) -> LevelPosition:
    """A level with its point, or one that was not imaged and has none."""
    imaged = draw(st.booleans())
    return LevelPosition(level, draw(points) if imaged else None, imaged, draw(st.booleans()))


@st.composite
def measurements(draw: st.DrawFn, scheme: Scheme) -> Measurement:
    """A measurement at a level or of the whole; its value may not be finite."""
    level = draw(st.none() | st.sampled_from(scheme.levels))
    between = tuple(draw(st.lists(points, max_size=3)))
    return Measurement(draw(st.sampled_from(Quantity)), level, draw(any_number), between)


@st.composite
def study_grades(draw: st.DrawFn) -> StudyGrades:
    """Everything that may be said about a study, without pictures."""
    scheme = draw(st.sampled_from(list(SCHEMES.values())))
    said = draw(st.lists(sayings(), min_size=1, max_size=4))
    return StudyGrades(
        study_uid=draw(uids),
        scheme=scheme,
        bundle=draw(stamps),
        series=tuple(draw(st.lists(series_uses, max_size=3))),
        levels=tuple(draw(level_positions(level)) for level in scheme.levels),
        cells=tuple(CellGrade(cell, **said[index % len(said)]) for index, cell in enumerate(scheme.cells)),
        measurements=tuple(draw(st.lists(measurements(scheme), max_size=4))),
        unused=tuple(draw(st.lists(unused, max_size=3))),
        warnings=tuple(draw(st.lists(any_text, max_size=3))),
        seconds=draw(st.floats(0, 1e4)),
        evidence=draw(st.dictionaries(st.sampled_from(Condition), evidence_on_patients(), max_size=3)),
    )
