"""Files that appear whole or not at all: written beside their place and moved there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stenograde.errors import ConfigError

UNFINISHED = ".writing-*"
"""Pattern of what a process that was killed leaves behind."""


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as exc:
        msg = f"{path} must be writable, got {exc.strerror or exc}; choose another --out or make room"
        raise ConfigError(msg) from exc
    return path
