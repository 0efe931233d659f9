"""A watched folder: what is put there and has come to rest is taken in and moved aside; nothing is deleted.

::

    FOLDER/anything               a file or a folder that somebody puts there
    FOLDER/taken/anything         what was taken in
    FOLDER/refused/anything       what was not, beside
    FOLDER/refused/anything.txt   the reason for each file

Whoever writes slowly writes to a name that begins with a point and renames it at the end: such names are left alone.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from stenograde.errors import ConfigError
from stenograde.files import kind_of_file, write_whole
from stenograde.pacs.intake import Intake, Refusal, Refused
from stenograde.pacs.logs import told

_log = logging.getLogger(__name__)

TAKEN: Final = "taken"
REFUSED: Final = "refused"

SENDER: Final = "watch"

TICK_S: Final = 5.0
"""How often the folder is looked at, s; what has not changed between two looks has come to rest."""

_LATER: Final = frozenset({Refusal.NO_ROOM, Refusal.UNAVAILABLE})
"""Refusals of now: what was refused so stays where it lies and is tried again."""

_MOST_FILES: Final = 100_000
"""Most files of one entry that are looked at."""

_Look = tuple[tuple[str, int, int], ...]
"""Path, size and time of change of each file of an entry."""


@dataclass
class Watch:
    """A folder and what it looked like.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    intake : Intake

    Raises
    ------
    ConfigError
        If it cannot be written to.
    """

    folder: Path
    intake: Intake
    _seen: dict[str, _Look] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            for name in (TAKEN, REFUSED):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            msg = f"[watch] folder must be one that can be written to, got {exc.strerror}"
            raise ConfigError(msg) from exc

    def look(self) -> int:
        """Take in what has come to rest since the last look; return how many files were taken."""
        now = dict(self._entries())
        resting = [name for name, look in now.items() if look == self._seen.get(name)]
        n_taken = sum(self._take(name) for name in resting)
        self._seen = {name: look for name, look in now.items() if os.path.lexists(self.folder / name)}
        return n_taken

    def _entries(self) -> Iterator[tuple[str, _Look]]:
        """Give what lies in the folder; what cannot be looked at now is left for the next time."""
        for entry in sorted(os.scandir(self.folder), key=lambda entry: entry.name):
            if entry.name not in {TAKEN, REFUSED} and not entry.name.startswith("."):
                try:
                    yield entry.name, tuple(_look(Path(entry.path)))
                except OSError:
                    continue

    def _take(self, name: str) -> int:
        """Take in the files of an entry; return how many were taken."""
        top, n_taken, is_left = self.folder / name, 0, False
        for relative, _, _ in self._seen[name]:
            path = top / relative if relative else top
            outcome = self._accept(path)
            if isinstance(outcome, Refused) and outcome.why in _LATER:
                is_left = True
                continue
            refusal = outcome if isinstance(outcome, Refused) else None
            try:
                self._move(path, Path(name, relative), refusal)
            except OSError as exc:
                _log.warning("not moved", extra=told(via=SENDER, reason=exc.strerror or type(exc).__name__))
                is_left = True
            n_taken += refusal is None
        if not is_left:
            _remove_empty(top)
        return n_taken

    def _accept(self, path: Path) -> object:
        try:
            with _opened(path) as file:
                return self.intake.accept(file, via="watch", sender=SENDER)
        except OSError as exc:
            why = Refused(Refusal.NOT_UNDERSTOOD, f"it must be a file that can be read, got {exc.strerror}")
            return self.intake.refuse(why, via="watch", sender=SENDER)

    def _move(self, path: Path, relative: Path, refusal: Refused | None) -> None:
        """Put a file aside under a name that is free, with the reason beside it where it was refused."""
        aside = _free(self.folder / (REFUSED if refusal else TAKEN) / relative)
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
        if refusal is not None:
            write_whole(aside.with_name(f"{aside.name}.txt"), f"{refusal.why}: {refusal.reason}\n")


@contextmanager
def watched(folder: Path, intake: Intake, *, tick_s: float = TICK_S) -> Iterator[Watch]:
    """Take in what is put into a folder while the body runs.

    Raises
    ------
    ConfigError
        If the folder cannot be written to.
    """
    watch, stop = Watch(folder, intake), threading.Event()

    def look_again() -> None:
        while not stop.wait(tick_s):
            try:
                watch.look()
            except OSError as exc:  # (the folder may be on a disk that comes and goes)
                _log.warning("no folder", extra=told(via=SENDER, reason=exc.strerror or type(exc).__name__))

    thread = threading.Thread(target=look_again, name="watch")
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


def _look(top: Path) -> Iterator[tuple[str, int, int]]:
    """Give the files of an entry, which may itself be one; links are not followed."""
    status = top.lstat()
    if not stat.S_ISDIR(status.st_mode):
        yield "", status.st_size, status.st_mtime_ns
        return
    n_files = 0
    for folder, folders, files in os.walk(top):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in sorted([*files, *links]):
            path = Path(folder, name)
            status = path.lstat()
            yield path.relative_to(top).as_posix(), status.st_size, status.st_mtime_ns
            n_files += 1
            if n_files >= _MOST_FILES:
                return


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is one: no link, no pipe, no device.

    Raises
    ------
    OSError
        If it is something else, or cannot be read.
    """
    # (a pipe would keep us waiting, a link lead elsewhere)
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(0, kind_of_file(mode))
        yield file


def _free(path: Path) -> Path:
    """Return a path that nothing has: the one given, or with a number behind its stem."""
    found, number = path, 1
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def _remove_empty(top: Path) -> None:
    """Remove the folders that are empty now; those that are not stay."""
    if top.is_symlink() or not top.is_dir():
        return
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            continue
