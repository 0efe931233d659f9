"""Ctrl-C and SIGTERM end a command within two seconds, whatever it is at, and its workers with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stenograde.cli.stopping import Stopped, stopped_by_signals

COMMAND = """
import hashlib, sys, time
from stenograde import cli
from stenograde.workers import in_processes, in_workers

def sleeps():
    return time.sleep

def busy(words):
    print("ready", flush=True)
    {work}

cli._run = busy
if __name__ == "__main__":
    sys.exit(cli.main(["x"]))
"""

WORK = {
    "Python": "while True: pass",
    "foreign code": "hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)",
    "workers": "list(in_processes(time.sleep, [600] * 8, 2))",
    "workers that last": "list(in_workers(sleeps, [600] * 8, 2, repr))",
    "busy workers": "list(in_processes(sum, [range(10**12)] * 8, 2))",
}


@contextmanager
def started(folder: Path, work: str) -> Iterator[subprocess.Popen[str]]:
    """A command that is at some work, in a process group of its own."""
    script = folder / "command.py"
    script.write_text(COMMAND.format(work=work), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        if group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def group(pgid: int) -> list[int]:
    """Processes of a group that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = status.read_text().partition(" (")
        except OSError:
            continue  # it ended meanwhile
        state, _, its_group = rest.rpartition(") ")[2].split()[:3]
        if its_group == str(pgid) and state != "Z":
            found.append(int(pid))
    return found


def ends(pgid: int, *, within_s: float) -> bool:
    """Whether all processes of a group end; the one that keeps an account for workers ends a moment after them."""
    deadline = time.monotonic() + within_s
    while group(pgid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not group(pgid)


def wait_for_workers(pgid: int, n: int) -> None:
    deadline = time.monotonic() + 60
    while len(group(pgid)) < n + 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", WORK)
def test_a_command_when_it_is_stopped_then_it_and_its_workers_end_at_once(
    tmp_path: Path, work: str, number: signal.Signals
) -> None:
    with started(tmp_path, WORK[work]) as process:
        if "workers" in work:
            wait_for_workers(process.pid, 2)
        # the terminal sends Ctrl-C to all processes of a command, kill sends SIGTERM to one
        (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
        start = time.monotonic()
        _, told = process.communicate(timeout=60)
        assert time.monotonic() - start < 4  # (2 s, on a machine that is not busy with other tests)
        assert process.returncode == 128 + number
        assert told == f"stenograde: stopped by {number.name}; what was not finished was not written\n"
        assert ends(process.pid, within_s=2)


def test_workers_when_their_command_is_killed_then_they_end_too(tmp_path: Path) -> None:
    with started(tmp_path, WORK["busy workers"]) as process:
        wait_for_workers(process.pid, 2)
        process.kill()
        assert ends(process.pid, within_s=10)


def test_signals_when_the_body_ends_then_they_are_handled_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def work() -> None:
        with stopped_by_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

    with pytest.raises(Stopped, match="15"):
        work()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
