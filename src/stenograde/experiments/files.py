"""Files of a result: each appears whole or not at all, so that a run cut short can be taken up again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from stenograde.errors import ConfigError


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file beside its place and move it there; gives the path.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            # mkstemp makes files for the owner only
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as exc:
        msg = f"{path} must be writable, got {exc.strerror or exc}; choose another --out or make room"
        raise ConfigError(msg) from exc
    return path


def write_text(path: Path, content: str) -> Path:
    """Write a text file as :func:`write_bytes` does."""
    return write_bytes(path, content.encode("utf-8"))
