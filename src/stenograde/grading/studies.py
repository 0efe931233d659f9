"""Grade many studies, each into a folder of its own; one that fails does not stop the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from stenograde.grading.study import (
    ENDED_ITS_PROCESS,
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
from stenograde.workers import Progress, counted, in_workers, settle_in

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
    names: set[str] = set()

    def take(name: str) -> bool:
        is_free = name not in names
        names.add(name)
        return is_free

    outcomes: list[Outcome] = []
    for source in counted(inputs, "grading studies", len(inputs), progress):
        outcomes += _outcomes_of(source, read, grading, out, take)
    return tuple(outcomes)


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

    Of two inputs with the same study, the one that is read first has the name without a number. An input that ends its
    process again and again is not graded, and the others are.

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
        As of :func:`grade_studies`.

    Raises
    ------
    StenogradeError
        As of :func:`grade_studies`; or workers cannot start.
    """
    outcomes: dict[int, tuple[Outcome, ...]] = {}
    with TemporaryDirectory() as names:
        make = partial(_Hand, read, grading, out, Path(names), workers)
        done = in_workers(make, list(enumerate(inputs)), workers, _given_up)
        for one in counted(done, "grading studies", len(inputs), progress):
            outcomes[one.number] = one.outcomes
            for line in one.lines:
                tell(line)
    return tuple(outcome for number in sorted(outcomes) for outcome in outcomes[number])


@dataclass(frozen=True)
class _Done:
    """What became of one input."""

    number: int
    outcomes: tuple[Outcome, ...]
    lines: tuple[str, ...]


class _Hand:
    """Grades inputs in a process of its own; names are taken from the others by files in a folder."""

    def __init__(
        self, read: Read, grading: Callable[[Tell], Grading], out: Path, names: Path, workers: int
    ) -> None:
        settle_in(workers)
        self.read, self.out, self.names = read, out, names
        self.lines: list[str] = []
        self.grading = grading(self.lines.append)
        self.grading.bundle.open_ahead()

    def __call__(self, job: tuple[int, Path]) -> _Done:
        number, source = job
        self.lines.clear()
        take = partial(_taken_for, number, self.names, set())
        outcomes = tuple(_outcomes_of(source, self.read, self.grading, self.out, take))
        return _Done(number, outcomes, tuple(self.lines))


def _taken_for(number: int, names: Path, own: set[str], name: str) -> bool:
    """Take a name for an input, unless another has it; its own of a try that ended its process is free again."""
    place = names / name
    try:
        with place.open("x") as file:
            file.write(str(number))
    except FileExistsError:
        if name in own or place.read_text() != str(number):
            return False
    own.add(name)
    return True


def _given_up(job: tuple[int, Path]) -> _Done:
    number, source = job
    outcome = NotGraded(str(source), ENDED_ITS_PROCESS, is_our_fault=False)
    return _Done(number, (outcome,), (_line_of(outcome),))


def _outcomes_of(
    source: Path, read: Read, grading: Grading, out: Path, take: Callable[[str], bool]
) -> Iterator[Outcome]:
    """Give the outcomes of one input; each failure is told."""

    def folder_of(uid: str) -> Path:
        return out / folder_name(uid, take)

    def first_read() -> Sequence[Study]:
        with reason_told(folder_of, source, grading):
            return read(source)

    def told(outcome: Outcome) -> Outcome:
        if isinstance(outcome, NotGraded):
            grading.tell(_line_of(outcome))
        return outcome

    found = attempt(str(source), first_read)
    if isinstance(found, NotGraded):
        yield told(found)
        return
    for study in found:
        yield told(attempt(study.uid, partial(_graded, folder_of(study.uid), study, grading, source)))


def _line_of(outcome: NotGraded) -> str:
    return f"{outcome.name}: {outcome.line}"


def _graded(folder: Path, study: Study, grading: Grading, source: Path) -> Graded:
    with reason_told(lambda _: folder, study, grading), earlier_results_set_aside(folder):
        return grade_into(folder, study, grading, source=source)


def folder_name(uid: str, take: Callable[[str], bool]) -> str:
    """Return a folder name made of a study UID.

    Parameters
    ----------
    uid : str
    take : callable
        Takes a name, and says whether it was free.

    Examples
    --------
    >>> free = ["1.2.826", "1.2.826-2", "study"]
    >>> take = lambda name: name in free and not free.remove(name)
    >>> folder_name("1.2.826", take), folder_name("1.2.826", take), folder_name("../..", take)
    ('1.2.826', '1.2.826-2', 'study')
    """
    stem = re.sub(r"[^0-9A-Za-z.-]+", "_", uid).strip("._")[:64] or "study"
    name, number = stem, 1
    while not take(name):
        number += 1
        name = f"{stem}-{number}"
    return name
