"""Files: written whole, together or not at all; read only where they are regular, and not without end."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from stenograde.errors import ConfigError

UNFINISHED = ".writing-*"
"""Pattern of what a process that was killed leaves behind."""

MEMORY_LIMIT_BYTES: Final = 2 << 30
"""How many bytes one study may unpack to, and may take while it is graded; a setting raises it.

A lumbar study takes 0.05 to 0.5 GB.
"""

MAX_RATIO: Final = 200
"""How many times its size something packed may unpack to; MR slices shrink to a half or a third."""

_FREE_BYTES: Final = 64 << 20
"""What may be unpacked whatever the ratio: an empty slice of a megabyte shrinks to one kilobyte."""

_FORMULA_STARTS: Final = ("=", "+", "-", "@")
"""First letters of what a spreadsheet takes for a formula."""

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def shown_bytes(n: int) -> str:
    """Return a number of bytes in the largest binary unit that leaves it at least one.

    Examples
    --------
    >>> shown_bytes(1 << 30), shown_bytes(1_500_000), shown_bytes(12)
    ('1 GiB', '1.43 MiB', '12 bytes')
    """
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if n >= 1 << power:
            return f"{n / (1 << power):.3g} {unit}"
    return f"{n} bytes"


def unpacked_limit(n_packed: int, at_most: int = MEMORY_LIMIT_BYTES, *, ratio: int = MAX_RATIO) -> int:
    """Return how many bytes something packed may unpack to.

    Examples
    --------
    >>> unpacked_limit(1000) >> 20, unpacked_limit(1 << 20) >> 20, unpacked_limit(1 << 30) >> 20
    (64, 200, 2048)
    """
    return min(at_most, max(_FREE_BYTES, ratio * n_packed))


def kind_of_file(mode: int) -> str:
    """Return in words what a file is that is not a regular one; empty for a regular file.

    Parameters
    ----------
    mode : int
        ``st_mode`` of the file.
    """
    if stat.S_ISREG(mode):
        return ""
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "no regular file")


def regular_bytes(path: Path, *, at_most: int = MEMORY_LIMIT_BYTES) -> bytes:
    """Read a regular file of limited length; a pipe or a device is not waited for.

    Raises
    ------
    OSError
        If it cannot be read, is not a regular file, or is longer than ``at_most``; ``strerror`` says why.
    """
    kind = kind_of_file(path.stat().st_mode)
    if kind:
        raise OSError(errno.EINVAL, f"it is {kind}, where a regular file is needed")
    with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise OSError(errno.EFBIG, f"it is longer than {shown_bytes(at_most)}")
    return data


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
"""Control characters: a terminal would obey them."""


def inert_cell(text: str) -> str:
    r"""Return text for a cell of a CSV table: on one line, and nothing that a spreadsheet or a terminal would run.

    References
    ----------
    OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection.

    Examples
    --------
    >>> inert_cell("=SUM(A1)"), inert_cell("two\nlines"), inert_cell("L4/L5"), inert_cell("a\x1b[31m")
    ("'=SUM(A1)", 'two lines', 'L4/L5', 'a\\x1b[31m')
    """
    line = re.sub(r"\r\n|[\r\n]", " ", text)
    line = _CONTROL.sub(lambda found: repr(found[0])[1:-1], line)
    return f"'{line}" if line.lstrip("'").startswith(_FORMULA_STARTS) else line


def text_of_cell(cell: str) -> str:
    """Return the text that :func:`inert_cell` was given, where it only put an apostrophe before it."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'").startswith(_FORMULA_STARTS) else cell


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give an open file that becomes ``path`` at the end of the block, and nothing if the block raises.

    The folder must exist; the file has the permissions of any new file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED.rstrip("*"))
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)  # mkstemp makes files for the owner only
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file of a result, and its folder where there is none; gives the path.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    write_together({path: content})
    return path


def write_together(contents: Mapping[Path, str | bytes]) -> None:
    """Write the files of a result so that all of them appear or none does; older ones are then as they were.

    Parameters
    ----------
    contents : mapping
        What each file holds; folders are made where there are none.

    Raises
    ------
    ConfigError
        If one of them cannot be written.
    """
    made: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            made.append((_beside(path), path))
            with whole_file(made[-1][0]) as file:
                # (halves of characters stand in names of files that are no text)
                file.write(
                    content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
                )
        _swap(made)
    except OSError as exc:
        msg = f"{path} must be writable, got {exc.strerror or exc}; choose another --out or make room"
        raise ConfigError(msg) from exc
    finally:
        for finished, _ in made:
            finished.unlink(missing_ok=True)


def _swap(made: Sequence[tuple[Path, Path]]) -> None:
    """Move finished files to their places; if one cannot be moved, put back what was there."""
    kept: list[tuple[Path, Path]] = []
    placed: list[Path] = []
    try:
        for finished, path in made:
            if path.exists():
                kept.append((path.rename(_beside(path)), path))
            finished.rename(path)
            placed.append(path)
    except BaseException:
        for path in placed:
            path.unlink(missing_ok=True)
        for old, path in kept:
            old.rename(path)
        raise
    for old, _ in kept:
        old.unlink(missing_ok=True)


def kept_records(path: Path) -> list[dict[str, Any]]:
    """Return the records that :func:`keep_record` added to a file; a last line that a kill has torn is cut off.

    Raises
    ------
    ConfigError
        If the file holds anything else or cannot be read.
    """
    if not path.exists():
        return []
    try:
        data = regular_bytes(path)
        lines = data.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            os.truncate(path, len(data) - len(lines.pop()))
        records = [json.loads(line) for line in lines]
    except (OSError, ValueError, RecursionError) as exc:
        msg = f"{path} must hold a JSON object on each line, got {exc}; remove it to begin anew"
        raise ConfigError(msg) from exc
    if not all(isinstance(record, dict) for record in records):
        msg = f"{path} must hold a JSON object on each line, got another value; remove it to begin anew"
        raise ConfigError(msg)
    return records


def keep_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record to a file as a line of JSON, on disk when this returns; the folder must exist.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        msg = f"{path} must be writable, got {exc.strerror or exc}; choose another --out or make room"
        raise ConfigError(msg) from exc


def keep_settings(path: Path, asked: Mapping[str, Any], *, what: str) -> None:
    """Write the settings of what a folder holds to a JSON file, or check that they are those stored there.

    Raises
    ------
    ConfigError
        If it was made by others; the message names ``what`` lies there and which settings differ.
    """
    if not path.is_file():
        write_whole(path, json.dumps(asked, indent=1))
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    differing = sorted(name for name in {*asked, *stored} if asked.get(name) != stored.get(name))
    if differing:
        msg = (
            f"{what} in {path.parent} must be of the same settings, got another {', '.join(differing)}; choose another "
            "folder or delete it"
        )
        raise ConfigError(msg)


def set_aside(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Rename files of an earlier result, so that they do not pass for those of a newer one; gives their new names.

    Raises
    ------
    ConfigError
        If one cannot be renamed.
    """
    kept = []
    for path in paths:
        if path.is_file():
            try:
                kept.append(path.replace(path.with_name(f"earlier-{path.name}")))
            except OSError as exc:
                msg = f"{path} must be removable, got {exc.strerror or exc}; it is of an earlier run"
                raise ConfigError(msg) from exc
    return tuple(kept)


def _beside(path: Path) -> Path:
    """Return a name in the same folder that nothing has, of the form of unfinished files."""
    return path.with_name(f"{UNFINISHED.rstrip('*')}{secrets.token_hex(6)}")
