"""Every exception of the package, drawn as a tree; its branches are policies.

::

    StenogradeError
    ├── StudyError                  this study cannot be graded as given: report why, go on with the next
    │   ├── NoStudyError            there is nothing readable where a study was expected
    │   ├── SeveralStudiesError     more than one study or patient where one was expected
    │   ├── UnreadableInstanceError an instance cannot be parsed or its pixels cannot be decoded
    │   ├── IrregularSlicesError    slices do not form a regular volume
    │   └── MissingSeriesError      a series that the answer needs is absent
    ├── BundleError                 the pieces of a bundle do not fit together: refuse to start
    ├── ConfigError                 a setting is unknown, of the wrong type or out of range: refuse to start
    ├── DatasetError                a data set is not laid out as expected: refuse to start
    ├── DeliveryError               the other side did not take the result: retry, then alarm
    ├── JobError                    a job of the service does not allow what is asked: nothing is changed
    └── MissingDependencyError      an optional package is needed: the message names the extra that brings it

Anything else that is raised is a fault of ours.
"""

from __future__ import annotations

import shlex
import traceback
from concurrent.futures import BrokenExecutor
from pathlib import Path


class StenogradeError(Exception):
    """Root of all errors that stenograde raises on purpose."""


class StudyError(StenogradeError):
    """A study cannot be graded as given."""


class NoStudyError(StudyError):
    """Nothing readable lies where a study was expected."""


class SeveralStudiesError(StudyError):
    """More than one study or patient lies where one was expected."""


class UnreadableInstanceError(StudyError):
    """An instance cannot be parsed, or its pixels cannot be decoded."""


class IrregularSlicesError(StudyError):
    """Slices do not form a regular volume."""


class MissingSeriesError(StudyError):
    """A series that the answer needs is absent."""


class BundleError(StenogradeError):
    """The pieces of a bundle do not fit together."""


class ConfigError(StenogradeError):
    """A setting is unknown, of the wrong type or out of range."""


class DatasetError(StenogradeError):
    """A data set is not laid out as expected."""


class DeliveryError(StenogradeError):
    """The other side did not take the result."""


class JobError(StenogradeError):
    """A job of the service is not there, or is in a state that does not allow what is asked."""


class MissingDependencyError(StenogradeError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


class FaultElsewhereError(Exception):
    """A fault of ours in a process that works for this one; its text is the line that was made of it there."""


def sendable(error: BaseException) -> StenogradeError | FaultElsewhereError:
    """Return what another process is told of an error; text and trace of others may quote a header, and stay."""
    if isinstance(error, StenogradeError):
        return error
    line, is_our_fault = line_of(error)
    return FaultElsewhereError(line) if is_our_fault else StenogradeError(line)


def one_line(error: BaseException) -> str:
    r"""Return an error's message and notes on one line.

    Examples
    --------
    >>> one_line(ValueError("rows must be even,\n  got 3"))
    'rows must be even, got 3'
    """
    parts = [str(error) or type(error).__name__, *getattr(error, "__notes__", ())]
    return "; ".join(" ".join(part.split()) for part in parts)


def line_of(error: BaseException) -> tuple[str, bool]:
    """Return what went wrong on one line, and whether it is a fault of ours.

    What the world did is none: an input or a setting, a disk that is full, memory that is short.
    """
    if isinstance(error, (StenogradeError, FaultElsewhereError)):
        return one_line(error), isinstance(error, FaultElsewhereError)
    if isinstance(error, OSError) and error.strerror:
        line = (
            f"the system must let files be read and written, got '{error.strerror}'; make room, allow it, or choose "
            "another place"
        )
        return line, False
    if isinstance(error, MemoryError):
        return "memory must suffice, got too little; free some, or use fewer --workers", False
    if isinstance(error, BrokenExecutor):
        line = (
            "worker processes must run to their end, got one that was ended from outside; use fewer --workers"
        )
        return line, False
    return fault_line(error), True


def fault_line(error: BaseException) -> str:
    """Return one line for a fault of ours: its kind and place, but not its text, which may quote a header."""
    home = str(Path(__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(home)]
    place = f" in {Path(frames[-1].filename).relative_to(home)} line {frames[-1].lineno}" if frames else ""
    return (
        f"a fault of ours: {type(error).__name__}{place}; please report it with the output of "
        f"'stenograde env' ('stenograde --debug ...' shows the trace)"
    )


def installing(extra: str) -> str:
    """Return the command that installs an extra: that of the clone the package runs from, else of the package."""
    clone = Path(__file__).parents[2]
    if (clone / "pyproject.toml").is_file():
        return f"pip install -e {shlex.quote(f'{clone}[{extra}]')}"
    return f"pip install 'stenograde[{extra}]'"
