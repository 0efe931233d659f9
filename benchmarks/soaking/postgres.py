"""A PostgreSQL cluster of its own (Debian's package) on the disk of the store; it can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pytest
from tests.databases import BINARIES, Server

OPTIONS = ("-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB", "-c", "shared_buffers=32MB")


class Cluster:
    """A server that keeps what it says it has kept."""

    def __init__(self, folder: Path) -> None:
        if not (BINARIES / "postgres").is_file():
            sys.exit(f"PostgreSQL 15 is not installed ({BINARIES}); on Debian: apt-get install postgresql-15")
        user = None
        folder.mkdir()
        if os.geteuid() == 0:
            user = "postgres"
            shutil.chown(folder, user)
        self._server = Server(folder, user, options=OPTIONS)
        self.is_wanted = True
        self.n_ended = 0

    def new_url(self) -> str:
        """Make an empty database, and return its URL."""
        return self._server.new_url()

    @property
    def is_running(self) -> bool:
        """Whether its first process is there."""
        return self._server.pid is not None

    def crash(self) -> None:
        """End it at once, as a crash would."""
        self.is_wanted = False
        self._server.stop(signal.SIGQUIT)

    def start(self) -> None:
        """Start it again; where its disk is full it ends, and :meth:`keep` starts it later."""
        self.is_wanted = True
        with suppress(pytest.fail.Exception):
            self._server.start()

    def keep(self, *, has_room: bool) -> None:
        """Start it again where it ended of itself, as it does when it has no room."""
        if self.is_wanted and has_room and not self.is_running:
            self.n_ended += 1
            self.start()

    def stop(self) -> None:
        """End it in order."""
        if self.is_running:
            self._server.stop(signal.SIGINT)

    def cpu_s(self) -> float:
        """Return CPU seconds of its processes, those that have ended among them."""
        pids = [self._server.pid]
        total = 0.0
        with suppress(OSError, IndexError, ValueError):
            pids += Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
        for number, pid in enumerate(pids):
            with suppress(OSError, IndexError, ValueError):
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                # (of the first one, with those of its children that have ended)
                total += sum(map(int, stat[11 : 15 if number == 0 else 13])) / os.sysconf("SC_CLK_TCK")
        return total
