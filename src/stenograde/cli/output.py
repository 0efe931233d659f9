"""What every command shares: error lines, a quiet log, folders to write into."""

from __future__ import annotations

import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stenograde
from stenograde.errors import ConfigError, MissingDependencyError


def one_line(error: BaseException) -> str:
    r"""Return an error's message and notes on one line.

    Examples
    --------
    >>> one_line(ValueError("rows must be even,\n  got 3"))
    'rows must be even, got 3'
    """
    parts = [str(error) or type(error).__name__, *getattr(error, "__notes__", ())]
    return "; ".join(" ".join(part.split()) for part in parts)


def fault_line(error: BaseException) -> str:
    """Return one line for a fault of ours: its kind and place, but not its text, which may quote a header."""
    home = str(Path(stenograde.__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(home)]
    place = f" in {Path(frames[-1].filename).relative_to(home)} line {frames[-1].lineno}" if frames else ""
    return (
        f"a fault of ours: {type(error).__name__}{place}; please report it with the output of "
        f"'stenograde env' ('stenograde --debug ...' shows the trace)"
    )


def say_error(line: str) -> None:
    """Print one line on standard error."""
    print(f"stenograde: {line}", file=sys.stderr)


@contextmanager
def quiet(*, debug: bool) -> Iterator[None]:
    """Send the package's log to standard error when debugging, and nowhere otherwise; put all back after.

    Logs and warnings of libraries are never shown, because they may quote a header: what matters of them is
    in ``Study.warnings``, in our words.
    """
    root, ours = logging.getLogger(), logging.getLogger("stenograde")
    before = (ours.level, ours.propagate, ours.handlers)
    handler = logging.StreamHandler() if debug else logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    silence = logging.NullHandler()
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(True)
        root.addHandler(silence)
        ours.handlers, ours.propagate = [handler], False
        ours.setLevel(logging.DEBUG if debug else logging.CRITICAL)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(silence)
            level, ours.propagate, ours.handlers = before
            ours.setLevel(level)


def out_folder(path: Path) -> Path:
    """Return a folder to write into, made if it is not there.

    Raises
    ------
    ConfigError
        If the path is a file or cannot be made.
    """
    if path.exists() and not path.is_dir():
        msg = f"--out must be a folder, got the file {path}; name another one"
        raise ConfigError(msg)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        msg = f"--out must be a folder that can be made, got {path} ({exc.strerror or exc})"
        raise ConfigError(msg) from exc
    return path


@contextmanager
def needs_extra(what: str, *, extra: str = "train") -> Iterator[None]:
    """Let a module of an extra be imported in the body; names the extra when a package is missing.

    Raises
    ------
    MissingDependencyError
        If a package that is not ours is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name and exc.name.startswith("stenograde"):
            raise
        msg = f"{what} the package {exc.name}, which is not installed; pip install 'stenograde[{extra}]'"
        raise MissingDependencyError(msg) from exc


def safe_name(text: str, taken: set[str]) -> str:
    """Return a folder name made of a study UID that is not yet taken, and take it.

    Examples
    --------
    >>> taken = set()
    >>> safe_name("1.2.826", taken), safe_name("1.2.826", taken), safe_name("../..", taken)
    ('1.2.826', '1.2.826-2', 'study')
    """
    stem = re.sub(r"[^0-9A-Za-z.-]+", "_", text).strip("._")[:64] or "study"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name
