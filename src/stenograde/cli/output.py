"""What commands share: options, error lines, tables, a quiet log, folders to write into."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import stenograde
from stenograde.errors import ConfigError, MissingDependencyError

OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write into; made if it is not there.")]
StudyUid = Annotated[str | None, typer.Option("--study", help="StudyInstanceUID of the study to take.")]
RolesFile = Annotated[
    Path | None, typer.Option("--roles", help="CSV of series roles; overrides what the headers say.")
]
BundleFolder = Annotated[
    Path | None, typer.Option("--bundle", help="Bundle to use; the shipped one if not given.")
]


def say_error(line: str) -> None:
    """Print one line on standard error."""
    print(f"stenograde: {line}", file=sys.stderr)


def print_table(
    headings: Iterable[str], rows: Iterable[Sequence[str]], *, title: str | None = None, lines: bool = False
) -> None:
    """Print a table on standard output; it is 200 characters wide where nobody looks at a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_lines=lines)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
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
        msg = f"{what} the package {exc.name}, which is not installed; {installing(extra)}"
        raise MissingDependencyError(msg) from exc


def installing(extra: str) -> str:
    """Return the command that installs an extra: that of the clone the package runs from, else of the package."""
    clone = Path(stenograde.__file__).parents[2]
    if (clone / "pyproject.toml").is_file():
        return f"pip install -e {shlex.quote(f'{clone}[{extra}]')}"
    return f"pip install 'stenograde[{extra}]'"
