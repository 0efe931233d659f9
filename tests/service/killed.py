"""Runs work in a forked process that kills itself, as kill -9 would, at a chosen call of a function."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any


def run_killed(work: Callable[[], None], at_call: int | None) -> int:
    """Run work in a process that is killed at its n-th call of a Python function; return what ``waitpid`` gives."""
    child = os.fork()
    if child == 0:
        try:
            if at_call is not None:
                _kill_at(at_call)
            work()
            sys.setprofile(None)
            os._exit(0)
        except BaseException:  # noqa: BLE001  (nothing of the test may run on in the child)
            sys.setprofile(None)
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(child, 0)[1]


def was_killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def n_calls(work: Callable[[], None]) -> int:
    """Return how many functions some work calls, in a process of its own."""
    read, write = os.pipe()

    def counted() -> None:
        calls = 0

        def count(_frame: FrameType, event: str, _arg: Any) -> None:
            nonlocal calls
            calls += event in {"call", "c_call"}

        sys.setprofile(count)
        work()
        sys.setprofile(None)
        os.write(write, str(calls).encode())

    status = run_killed(counted, None)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        found = told.read()
    assert status == 0
    return int(found)


def _kill_at(number: int) -> None:
    calls = 0

    def count(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal calls
        if event in {"call", "c_call"}:
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
