"""Grade many studies, each into a folder of its own; one that fails does not stop the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from stenograde.errors import StenogradeError, StudyError, line_of
from stenograde.grading.study import (
    ENDED_ITS_PROCESS,
    Graded,
    Grading,
    Made,
    NotGraded,
    Outcome,
    WhyNot,
    attempt,
    earlier_results_set_aside,
    make_results,
    says_so,
    set_results_aside,
    why_not,
    write_results,
    write_why_not,
)
from stenograde.study import Study
from stenograde.workers import Progress, counted, in_workers, settle_in

T = TypeVar("T")

Read = Callable[[Path], Sequence[Study]]
"""Gives the studies of one input."""

Tell = Callable[[str], None]
"""Takes a line that a person should read."""


def grade_studies(
    inputs: Sequence[Path], read: Read, grading: Grading, out: Path, *, progress: Progress | None = None
) -> tuple[Outcome, ...]:
    """Grade every study of the inputs into ``out/<study>``, in this process; each failure is reported at once.

    Returns
    -------
    outcomes : tuple of Graded or NotGraded
        One for each study, in order, and one for each input that could not be read.

    Raises
    ------
    StenogradeError
        If it is no ``StudyError``; see :func:`stenograde.grading.study.attempt`.
    """
    writer = _Writer(out, grading.tell)
    return tuple(
        writer.write(one)
        for source in counted(inputs, "grading studies", len(inputs), progress)
        for one in _made_of(source, read, grading)
    )


def grade_studies_by_workers(
    inputs: Sequence[Path],
    read: Read,
    grading: Callable[[Tell], Grading],
    out: Path,
    *,
    workers: int,
    tell: Tell,
    progress: Progress | None = None,
) -> tuple[Outcome, ...]:
    """Grade every study of the inputs as :func:`grade_studies` does, by processes that share the cores.

    They make the results, and this process writes them, as they come: of two inputs with the same study, the one that
    is graded first has the name without a number.

    Parameters
    ----------
    inputs : sequence of Path
    read, grading : callable
        Can be pickled; what is graded with is made in each process, from what takes its lines.
    out : Path
    workers : int
        Processes.
    tell : callable
        Takes the lines of all.
    progress : callable, optional
        Counts the inputs.

    Returns
    -------
    outcomes : tuple of Graded or NotGraded
        As of :func:`grade_studies`; and one for each input that ended its process again and again.

    Raises
    ------
    StenogradeError, FaultElsewhereError
        As of :func:`grade_studies`; or workers cannot start, or have a fault of ours.
    """
    writer = _Writer(out, tell)
    outcomes: dict[int, tuple[Outcome, ...]] = {}
    make = partial(_Grader, read, grading, workers)
    with closing(in_workers(make, enumerate(inputs), workers, _given_up)) as done:
        for one in counted(done, "grading studies", len(inputs), progress):
            for line in one.lines:
                tell(line)
            outcomes[one.number] = tuple(map(writer.write, one.made))
    return tuple(outcome for number in sorted(outcomes) for outcome in outcomes[number])


@dataclass(frozen=True)
class _Refused:
    """A study, or an input, that could not be graded, and what is to be written of it."""

    outcome: NotGraded | StenogradeError
    """An error stops the other studies, too."""
    study_uid: str | None
    """None where it is not known."""
    reports: WhyNot | None


@dataclass(frozen=True)
class _Done:
    """What was made of one input, and what is to be said of it."""

    number: int
    made: tuple[Made | _Refused, ...]
    lines: tuple[str, ...] = ()


class _Grader:
    """Grades inputs in a process of its own."""

    def __init__(self, read: Read, grading: Callable[[Tell], Grading], workers: int) -> None:
        settle_in(workers)
        self.read = read
        self.lines: list[str] = []
        self.grading = grading(self.lines.append)
        self.grading.bundle.open_ahead()

    def __call__(self, job: tuple[int, Path]) -> _Done:
        number, source = job
        self.lines.clear()
        made = tuple(_made_of(source, self.read, self.grading))
        return _Done(number, made, tuple(self.lines))


def _given_up(job: tuple[int, Path]) -> _Done:
    number, source = job
    outcome = NotGraded(str(source), ENDED_ITS_PROCESS, is_our_fault=False)
    return _Done(number, (_Refused(outcome, None, None),))


def _made_of(source: Path, read: Read, grading: Grading) -> Iterator[Made | _Refused]:
    """Give what is to be written of the studies of one input."""
    found = _attempted(str(source), source, grading, partial(read, source))
    if isinstance(found, _Refused):
        yield found
        return
    for study in found:
        yield _attempted(study.uid, study, grading, partial(make_results, study, grading, source=source))


def _attempted(name: str, where: Study | Path, grading: Grading, work: Callable[[], T]) -> T | _Refused:
    """Return what some work on one study gives, or what is to be written in its place."""
    reports: WhyNot | None = None

    def tried() -> T:
        nonlocal reports
        try:
            return work()
        except StudyError as exc:
            reports = why_not(line_of(exc)[0], where, grading)
            raise

    try:
        outcome = attempt(name, tried)
    except StenogradeError as exc:
        if not isinstance(where, Study):
            raise
        return _Refused(exc, where.uid, None)
    if not isinstance(outcome, NotGraded):
        return outcome
    if isinstance(where, Study):
        return _Refused(outcome, where.uid, reports)
    return _Refused(outcome, reports.study_uid if reports else None, reports)


class _Writer:
    """Writes what is made of studies, each into a folder of its own, and tells what was not graded."""

    def __init__(self, out: Path, tell: Tell) -> None:
        self.out, self.tell = out, tell
        self.names: set[str] = set()

    def write(self, made: Made | _Refused) -> Outcome:
        """Write what is to be written of a study.

        Raises
        ------
        StenogradeError
            If a file cannot be written, or the study stops the others.
        """
        if isinstance(made, Made):
            uid = made.grades.study_uid
            outcome = attempt(uid, partial(_written, self._folder(uid), made))
        else:
            outcome = self._refused(made)
        if isinstance(outcome, NotGraded):
            self.tell(f"{outcome.name}: {outcome.line}")
        return outcome

    def _folder(self, uid: str) -> Path:
        return self.out / folder_name(uid, self.names)

    def _refused(self, made: _Refused) -> NotGraded:
        notes: tuple[str, ...] = ()
        if made.study_uid is not None:
            folder = self._folder(made.study_uid)
            notes = set_results_aside(folder)
            if made.reports is not None:
                notes += tuple(map(says_so, write_why_not(folder, made.reports)))
        if isinstance(made.outcome, StenogradeError):
            for note in notes:
                made.outcome.add_note(note)
            raise made.outcome
        return replace(made.outcome, line="; ".join((made.outcome.line, *notes)))


def _written(folder: Path, made: Made) -> Graded:
    with earlier_results_set_aside(folder):
        return write_results(folder, made)


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
