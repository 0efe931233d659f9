"""Real databases for tests: files of SQLite, and a PostgreSQL server of Debian under an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

BINARIES = Path("/usr/lib/postgresql/15/bin")
_HANGING_S = 120.0
"""A guard against hanging, s."""


class Server:
    """A PostgreSQL server on a socket in its own folder; it can be stopped and started again."""

    def __init__(self, folder: Path, user: str | None, *, options: Sequence[str] = ("-F",)) -> None:
        self.folder = folder
        self._user = user
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._run("initdb", "-D", str(folder / "data"), "-U", "stenograde", "-A", "trust", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = ["postgres", "-D", str(self.folder / "data"), "-k", str(self.folder), "-h", ""]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(BINARIES / words[0]), *words[1:], *self._options],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
            )
        deadline = time.monotonic() + _HANGING_S
        while self._ask("postgres", "SELECT 1") != 0:
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail(f"PostgreSQL must start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGQUIT) -> None:
        """End it: by SIGQUIT at once, as a crash would."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(_HANGING_S)

    @property
    def pid(self) -> int | None:
        """Its first process; None where it has ended."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def new_url(self) -> str:
        """Make an empty database, and return its URL."""
        self._made += 1
        name = f"made_{self._made}"
        assert self._ask("postgres", f"CREATE DATABASE {name}") == 0
        return f"postgresql://stenograde@/{name}?host={self.folder}"

    def _ask(self, database: str, statement: str) -> int:
        words = [
            str(BINARIES / "psql"),
            "-h",
            str(self.folder),
            "-U",
            "stenograde",
            "-qc",
            statement,
            database,
        ]
        return subprocess.run(words, capture_output=True, check=False).returncode

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            [str(BINARIES / words[0]), *words[1:]],
            capture_output=True,
            user=self._user,
            cwd=self.folder,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


@contextmanager
def postgresql() -> Iterator[Server]:
    """Give a server; skips where it is not installed, or no user can run it."""
    if not (BINARIES / "postgres").is_file():
        pytest.skip(f"PostgreSQL 15 is not installed ({BINARIES})")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # (short: names of sockets have at most 107 characters)
    user = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = next((name for name in ("postgres", "nobody") if _is_user(name)), None)
        if user is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
        shutil.chown(folder, user)
    try:
        server = Server(folder, user)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
