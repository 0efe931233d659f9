"""Grade many studies, each into a folder of its own; one that fails does not stop the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from stenograde.grading.study import (
    Graded,
    Grading,
    NotGraded,
    Outcome,
    attempt,
    earlier_results_set_aside,
    grade_into,
    reason_told,
)
from stenograde.study import Study
from stenograde.workers import Progress, counted

Read = Callable[[Path], Sequence[Study]]
"""Gives the studies of one input."""


def grade_studies(
    inputs: Sequence[Path], read: Read, grading: Grading, out: Path, *, progress: Progress | None = None
) -> tuple[Outcome, ...]:
    """Grade every study of the inputs into ``out/<study>``; each failure is reported at once.

    Returns
    -------
    outcomes : tuple of Graded or NotGraded
        One for each study, in order, and one for each input that could not be read.

    Raises
    ------
    StenogradeError
        If it is no ``StudyError``; see :func:`stenograde.grading.study.attempt`.
    """
    outcomes: list[Outcome] = []
    taken: set[str] = set()
    for source in counted(inputs, "grading studies", len(inputs), progress):
        for outcome in _outcomes_of(source, read, grading, out, taken):
            if isinstance(outcome, NotGraded):
                grading.tell(f"{outcome.name}: {outcome.line}")
            outcomes.append(outcome)
    return tuple(outcomes)


def _outcomes_of(source: Path, read: Read, grading: Grading, out: Path, taken: set[str]) -> Iterator[Outcome]:
    def folder_of(uid: str) -> Path:
        return out / folder_name(uid, taken)

    def first_read() -> Sequence[Study]:
        with reason_told(folder_of, source, grading):
            return read(source)

    found = attempt(str(source), first_read)
    if isinstance(found, NotGraded):
        yield found
        return
    for study in found:
        yield attempt(study.uid, partial(_graded, folder_of(study.uid), study, grading, source))


def _graded(folder: Path, study: Study, grading: Grading, source: Path) -> Graded:
    with reason_told(lambda _: folder, study, grading), earlier_results_set_aside(folder):
        return grade_into(folder, study, grading, source=source)


def folder_name(uid: str, taken: set[str]) -> str:
    """Return a folder name made of a study UID that is not yet taken, and take it.

    Examples
    --------
    >>> taken = set()
    >>> folder_name("1.2.826", taken), folder_name("1.2.826", taken), folder_name("../..", taken)
    ('1.2.826', '1.2.826-2', 'study')
    """
    stem = re.sub(r"[^0-9A-Za-z.-]+", "_", uid).strip("._")[:64] or "study"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
