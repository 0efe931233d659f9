"""A small disk of its own that can be filled and freed: a file system in a file, else in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_STEPS = tuple(1 << power for power in range(30, 11, -2))


@dataclass(frozen=True)
class Disk:
    """Where the service keeps everything."""

    folder: Path
    kind: str
    """``ext4``, ``tmpfs``, or why it is no disk of its own."""
    is_own: bool

    def fill(self) -> int:
        """Leave no room; return how many bytes that took."""
        handle = os.open(self._filler, os.O_WRONLY | os.O_CREAT)
        at = 0
        try:
            for step in _STEPS:
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(handle, at, step)
                        at += step
        finally:
            os.close(handle)
        return at

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


@contextmanager
def small_disk(work: Path, megabytes: int) -> Iterator[Disk]:
    """Give a disk that is gone afterwards; a folder, with the reason, where mounting is not allowed."""
    folder, image = work / "disk", work / "disk.img"
    folder.mkdir(parents=True)
    tmpfs = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "soak", str(folder)]
    if os.geteuid() != 0:
        yield Disk(folder, "not filled: mounting needs root", is_own=False)
        return
    kind, ext4 = "", ["mount", "-o", "loop", str(image), str(folder)]
    if shutil.which("mkfs.ext4") is not None:
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        made = _run(["mkfs.ext4", "-q", "-m", "0", str(image)])
        kind = "ext4" if made and _run(ext4) else ""
    kind = kind or ("tmpfs" if _run(tmpfs) else "")
    try:
        yield Disk(folder, kind or "not filled: nothing can be mounted here", is_own=bool(kind))
    finally:
        if kind and not _run(["umount", str(folder)]):
            _run(["umount", "--lazy", str(folder)])
        image.unlink(missing_ok=True)


def _run(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
