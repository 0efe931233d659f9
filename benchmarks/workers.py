"""Processes that answer commands, so that methods of several interpreters can be timed in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).parent


class Worker:
    """One method in a process of its own, which waits while others run.

    Parameters
    ----------
    name : str
        For the table.
    command : list of str
    threads : int
        For every library that can be told by the environment.
    """

    def __init__(self, name: str, command: list[str], threads: int) -> None:
        self.name = name
        told = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(os.environ) | told,
        )
        self.hello = self._answer()

    def ask(self, command: str) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        sys.exit(f"{self.name} must answer every command, got an end with code {self.process.wait()}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()


def keras_worker(
    python: str, options: list[str], *, name: str, threads: int, backend: str = "tensorflow"
) -> Worker:
    """Return the peer; ``python`` is an interpreter that has Keras, SciPy and the ``backend``."""
    try:
        subprocess.run([python, "-c", f"import {backend}, keras, scipy"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        sys.exit(
            f"--keras-python must be an interpreter with {backend}, keras and scipy, got {python}; make one:\n"
            "    python -m venv keras && keras/bin/pip install tensorflow-cpu torch keras scipy"
        )
    command = [python, str(HERE / "keras_peer.py"), "--threads", str(threads), *options]
    return Worker(name, ["env", f"KERAS_BACKEND={backend}", *command], threads)
