"""Leak police and shared inputs: no network, everything restored, no thread left, seeds fixed."""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

_SET_BY_OTHERS = (
    *(
        "PYTEST_",
        "KMP_",
        "OMP_",
        "TORCH",
        "PYTORCH_",
        "TORCHINDUCTOR_",
        "_TORCHINDUCTOR_",
        "COLUMNS",
        "LINES",
    ),
    *(
        "GDCM_RESOURCES_PATH",
        "CUBLAS_WORKSPACE_CONFIG",
        "LD_LIBRARY_PATH",
    ),  # gdcm, MONAI, OpenCV when imported
)
"""Variables that pytest and numeric libraries set for themselves."""

_HANGING_S = 600.0
"""A guard against hanging, s: nothing waits so long on a machine that is merely busy."""

_THREAD_ENDS_S = 60.0
"""The same for a thread that was told to end, s."""

_LOOPBACK = ("127.", "::1", "localhost")

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("house"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting anywhere but to this machine fails."""

    def guard(connect: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(self: socket.socket, address: Any) -> Any:
            inet = self.family in (socket.AF_INET, socket.AF_INET6)
            if inet and not str(address[0]).startswith(_LOOPBACK):
                pytest.fail(f"a test must not use the network, tried {address[0]}")
            return connect(self, address)

        return guarded

    monkeypatch.setattr(socket.socket, "connect", guard(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(socket.socket.connect_ex))


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Libraries that draw from global generators draw the same in every run."""
    random.seed(20240902)
    np.random.seed(20240902)  # noqa: NPY002  the global generator is the one to be fixed here
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(20240902)


@pytest.fixture(autouse=True)
def _environment_restored() -> Iterator[None]:
    """A test leaves the environment and the working directory as it found them."""
    environment, folder = dict(os.environ), Path.cwd()
    yield
    found = {name for name in os.environ if os.environ[name] != environment.get(name)}
    changed = sorted((found | (environment.keys() - os.environ.keys())) - _tolerated())
    moved = Path.cwd() != folder
    os.chdir(folder)
    for name in changed:
        os.environ.pop(name, None)
        if name in environment:
            os.environ[name] = environment[name]
    assert not changed, f"environment must be restored, left changed: {', '.join(changed)}"
    assert not moved, "working directory must be restored"


def _tolerated() -> set[str]:
    return {name for name in os.environ if name.startswith(_SET_BY_OTHERS)}


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """A test ends the threads that it started."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _THREAD_ENDS_S
    while left := [thread for thread in threading.enumerate() if thread not in before]:
        if time.monotonic() > deadline:
            pytest.fail(f"threads must end with the test, left: {', '.join(thread.name for thread in left)}")
        time.sleep(0.01)


@pytest.fixture(scope="session")
def development_data() -> Path:
    """Folder of the data for development, which lies beside the repository and is not part of it."""
    folder = Path(__file__).resolve().parents[1] / "../shared/data"
    if not folder.is_dir():
        pytest.skip("the development data (../shared/data) is not on this machine")
    return folder.resolve()


@pytest.fixture(scope="session")
def phantom_cohort(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Folder of one phantom patient in the layout of RSNA 2024; made once for all workers; read only."""
    from stenograde.phantom import write_cohort

    base = tmp_path_factory.getbasetemp()
    # workers of one run have folders side by side; alone, the base is the run's own
    folder = (base if worker_id == "master" else base.parent) / "phantom-cohort"
    done = folder / "done"
    try:
        folder.mkdir()
    except FileExistsError:
        _wait_for(done)
    else:
        write_cohort(folder, patients=1, seed=7)
        done.touch()
    return folder


@pytest.fixture(scope="session")
def phantom_study(phantom_cohort: Path) -> Path:
    """Folder of one phantom study: sagittal T1, sagittal T2, disc-angled axial T2; read only."""
    return next(path for path in sorted((phantom_cohort / "train_images").iterdir()) if path.is_dir())


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _HANGING_S
    while not path.exists():
        if time.monotonic() > deadline:
            pytest.fail(f"another worker must write {path.parent.name} within {_HANGING_S:.0f} s")
        time.sleep(0.1)
