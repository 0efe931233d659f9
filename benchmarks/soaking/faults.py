"""What happens to the service while it runs: drawn by a seed, one after another, each undone after a while."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soaking.disk import Disk
from benchmarks.soaking.postgres import Cluster
from benchmarks.soaking.service import Group, Parts, wait_until_changed

Undo = tuple[float, Callable[[], None]]
"""After how many seconds what is done about a fault."""

WEIGHTS = {
    "worker killed": 36,
    "receivers killed": 14,
    "sender killed": 10,
    "service killed": 13,
    "archive killed": 12,
    "database killed": 12,
    "disk filled": 3,
}


@dataclass
class Faults:
    """Draws faults and carries them out.

    Parameters
    ----------
    parts : Parts
    archive : Group
    database : Cluster or Path
        A server, or the file of SQLite.
    disk : Disk
    rng : random.Random
    every_s : float
        Mean time between two.
    longest_s : float
        Longest that the service or the archive is away.
    """

    parts: Parts
    archive: Group
    database: Cluster | Path
    disk: Disk
    rng: random.Random
    every_s: float
    longest_s: float
    done: Counter[str] = field(default_factory=Counter)
    _undo: dict[str, Undo] = field(default_factory=dict)
    _first: list[str] = field(default_factory=list)
    """Each kind once, before they are drawn."""
    _next: float = 0.0

    def __post_init__(self) -> None:
        self._kinds = [kind for kind in WEIGHTS if kind != "disk filled" or self.disk.is_own]
        self._first = self.rng.sample(self._kinds, len(self._kinds))
        self._next = time.monotonic() + self.every_s

    @property
    def has_done_each(self) -> bool:
        """Whether every kind was there at least once."""
        return not self._first

    def tick(self) -> None:
        """Undo what is due, and do the next when it is time."""
        now = time.monotonic()
        for kind, (due, undo) in list(self._undo.items()):
            if due <= now:
                del self._undo[kind]
                undo()
        if now < self._next:
            return
        weights = [WEIGHTS[kind] for kind in self._kinds]
        kind = self._first[-1] if self._first else self.rng.choices(self._kinds, weights)[0]
        self._next = now + self.rng.expovariate(1 / self.every_s)
        if kind in self._undo or not self._do(kind):
            return
        self.done[kind] += 1
        if self._first:
            self._first.pop()

    def end(self) -> None:
        """Undo whatever is not undone yet."""
        for _, undo in self._undo.values():
            undo()
        self._undo.clear()

    def _do(self, kind: str) -> bool:
        """Carry out a fault; return whether it could be."""
        match kind:
            case "worker killed" | "receivers killed" | "sender killed":
                return self._kill_part(kind.removesuffix(" killed"))
            case "service killed":
                return self._kill_service(kind)
            case "archive killed":
                self.archive.kill()
                self._undo_later(kind, self.archive.start)
            case "database killed":
                return self._kill_database(kind)
            case "disk filled":
                self.disk.fill()
                self._undo_later(kind, self.disk.free)
        return True

    def _kill_part(self, start_of_name: str) -> bool:
        if not self.parts.service.is_running:
            return False
        names = [name for name in self.parts.pids if name.startswith(start_of_name)]
        if not names:
            return False
        return _killed(self.parts.pids[self.rng.choice(names)])

    def _kill_service(self, kind: str) -> bool:
        if not self.parts.service.is_running:
            return False
        self.parts.service.kill()
        self._undo_later(kind, self.parts.service.start)
        return True

    def _kill_database(self, kind: str) -> bool:
        if isinstance(self.database, Cluster):
            if not self.database.is_running:
                return False
            self.database.crash()
            self._undo_later(kind, self.database.start)
            return True
        # there is no server: the service is killed while it writes
        wait_until_changed(self.database.with_name(f"{self.database.name}-wal"), 5.0)
        return self._kill_service(kind)

    def _undo_later(self, kind: str, undo: Callable[[], None]) -> None:
        is_long = self.rng.random() < 0.3
        seconds = self.rng.uniform(0, self.longest_s if is_long else min(4.0, self.longest_s))
        if kind == "disk filled":
            seconds = self.longest_s
        self._undo[kind] = (time.monotonic() + seconds, undo)


def _killed(pid: int) -> bool:
    """Kill a process of the service; return whether it was there."""
    try:
        if b"multiprocessing" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return False
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def shown(done: Counter[str], kinds: Sequence[str] = tuple(WEIGHTS)) -> str:
    """Return how often each fault was there, as a line."""
    return ", ".join(f"{kind} {done[kind]}" for kind in kinds if done[kind])
