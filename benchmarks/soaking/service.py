"""The service and the archive as process groups that can be killed, and what their processes take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Group:
    """A program in a process group of its own."""

    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    n_starts: int = 0
    n_ended: int = 0
    """How often it ended of itself."""
    is_wanted: bool = False

    def start(self) -> None:
        """Start it."""
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        file: IO[bytes]
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                self.command,
                stdout=file,
                stderr=file,
                process_group=0,
                env=os.environ | {"PYTHONPATH": paths},
            )
        self.n_starts += 1
        self.is_wanted = True

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it and all that it started, at once."""
        self.is_wanted = False
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, grace_s: float = 60.0) -> None:
        """End it in order."""
        self.is_wanted = False
        if self.process is not None and self.is_running:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_s)
        self.kill()

    def keep(self) -> None:
        """Start it again where it ended of itself, as what runs services does."""
        if self.is_wanted and not self.is_running:
            self.n_ended += 1
            self.start()


@dataclass
class Parts:
    """The processes of the service, from its log, and what each took."""

    service: Group
    pids: dict[str, int] = field(default_factory=dict)
    """Of the parts as they run now."""
    resident: dict[tuple[str, int], list[tuple[int, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """Studies done and resident memory (MB), sample by sample, of each process that there was."""
    cpu_s: dict[tuple[str, int], float] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Lines of the log, by event."""
    _read: int = 0

    def sample(self, n_done: int) -> None:
        """Read the log on, and look at every process."""
        self._read_log()
        assert self.service.process is not None
        for name, pid in {**self.pids, "supervisor": self.service.process.pid}.items():
            with suppress(OSError, IndexError, ValueError):
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self.cpu_s[name, pid] = (int(stat[11]) + int(stat[12])) * _TICK_S
                self.resident[name, pid].append((n_done, int(stat[21]) * _PAGE_MB))

    def cpu_by_part(self) -> dict[str, float]:
        """Return CPU seconds by kind of part, of all processes that there were."""
        by_part: dict[str, float] = defaultdict(float)
        for (name, _), seconds in self.cpu_s.items():
            by_part[name.partition("-")[0]] += seconds
        return dict(by_part)

    def _read_log(self) -> None:
        with self.service.log.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                self.events["no line of ours"] += 1
                continue
            self.events[told["event"]] += 1
            if told["event"] == "part started":
                self.pids[told["part"]] = told["pid"]


SETTINGS = """\
store = "{disk}/store"
database = "{database}"
free_mb = 16

[dicom]
port = {dicom_port}

[http]
port = {http_port}

[study]
quiet_s = {quiet_s}

[grading]
workers = 2
lease_s = 30
attempts = 6
backoff_s = 2
results = {results}

[send]
lease_s = 60
backoff_s = 2

[destinations.archive]
kind = "dicom"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {peer_port}
results = {results}
"""


def service(work: Path, **numbers: object) -> Group:
    """Return the service, with its settings written; not started yet."""
    path = work / "serve.toml"
    path.write_text(SETTINGS.format(**numbers))
    return Group([sys.executable, "-m", "stenograde", "serve", "--config", str(path)], work / "service.log")


def peer(work: Path, port: int, *, lose: float, seed: int) -> Group:
    """Return the archive; not started yet."""
    script = str(Path(__file__).with_name("peer.py"))
    words = [
        "--port",
        str(port),
        "--log",
        str(work / "received.txt"),
        "--lose",
        str(lose),
        "--seed",
        str(seed),
    ]
    return Group([sys.executable, script, *words], work / "peer.log")


def wait_until_changed(path: Path, at_most_s: float) -> None:
    """Wait until a file grows or is written to."""
    before, deadline = _state(path), time.monotonic() + at_most_s
    while _state(path) == before and time.monotonic() < deadline:
        time.sleep(0.0005)


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
