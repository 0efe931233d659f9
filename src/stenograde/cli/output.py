"""What commands share: options, error lines, tables, a quiet log, folders to write into."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.streams import escaped
from stenograde.errors import ConfigError, MissingDependencyError, installing
from stenograde.files import MEMORY_LIMIT_BYTES

OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write into; made if it is not there.")]
SubmissionFile = Annotated[
    Path,
    typer.Option("--out", metavar="CSV", help="Submission to write; its folder is made if it is not there."),
]
StudyUid = Annotated[str | None, typer.Option("--study", help="StudyInstanceUID of the study to take.")]
RolesFile = Annotated[
    Path | None, typer.Option("--roles", help="CSV of series roles; overrides what the headers say.")
]
BundleFolder = Annotated[
    Path | None, typer.Option("--bundle", help="Bundle to use; the shipped one if not given.")
]

MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Most memory that a study may take, and most that an archive may unpack to, such as 4GiB; 2GiB if not "
        "given.",
    ),
]

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="TOML", help="Settings of the service; the defaults if not given."),
]

MAX_DRAWS = 100_000
"""Most draws of a bootstrap; more tell nothing."""

_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?(?:([KMGT])i?B?)?", re.IGNORECASE)


def bytes_asked(size: str | None) -> int:
    """Return the memory that an option allows, in bytes; the usual where it is not given.

    Raises
    ------
    ConfigError
        If it is no size, or below what any study takes.

    Examples
    --------
    >>> bytes_asked("4GiB") >> 30, bytes_asked("1.5 g") >> 20, bytes_asked(None) >> 30
    (4, 1536, 2)
    """
    if size is None:
        return MEMORY_LIMIT_BYTES
    found = _SIZE.fullmatch(size.strip())
    n_bytes = int(float(found[1]) * (1 << 10 * (" KMGT".index((found[2] or " ").upper())))) if found else 0
    if n_bytes < 1 << 20:
        msg = f"--memory-limit must be a size of at least 1MiB, such as 4GiB, got {size!r}"
        raise ConfigError(msg)
    return n_bytes


def say_error(line: str) -> None:
    """Print one line on standard error."""
    if sys.stderr is not None:
        print(f"stenograde: {' '.join(line.splitlines())}", file=sys.stderr)


def print_table(
    headings: Iterable[str], rows: Iterable[Sequence[str]], *, title: str | None = None, lines: bool = False
) -> None:
    """Print a table on standard output; it is 200 characters wide where nobody looks at a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title and escaped(title), title_justify="left", show_lines=lines)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(escaped, row))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=200)
    console.print(table)


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
    try:
        if path.exists() and not path.is_dir():
            msg = f"--out must be a folder, got the file {path}; name another one"
            raise ConfigError(msg)
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as exc:
        msg = f"--out must be a folder that can be made, got {path} ({getattr(exc, 'strerror', None) or exc})"
        raise ConfigError(msg) from exc
    return path


def submission_file(path: Path) -> Path:
    """Return a table to write, after its folder was made, so that work that takes long does not end in a refusal.

    Raises
    ------
    ConfigError
        If the path is a folder, or its folder cannot be made.
    """
    if path.is_dir():
        msg = f"--out must be a file, got the folder {path}; name a file in it, such as {path / 'submission.csv'}"
        raise ConfigError(msg)
    out_folder(path.parent)
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
        msg = f"{what} the package {exc.name}, which is not installed; {installing(extra)}"
        raise MissingDependencyError(msg) from exc
