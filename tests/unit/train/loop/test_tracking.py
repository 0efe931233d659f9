"""Losses and settings reach the logger that is asked for, as files in the output folder, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.errors import MissingDependencyError
from stenograde.train.loop.tracking import tracked
from stenograde.workers import Step

SETTINGS = {"fit": {"epochs": 2, "precision": "32"}, "folds": 5}
STEPS = (
    Step("studies read", 1, 2),
    Step("fold 1, net", 0.5, 2, "epoch"),
    Step("fold 1, net", 1, 2, "epoch", 0.75, 0.5),
    Step("fold 1, net", 2, 2, "epoch", 0.25),
)


SET = (
    *("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE", "MLFLOW_TRACKING_URI"),
    *("WANDB_ERROR_REPORTING", "WANDB_MODE"),
)

ALONE = """
import socket, sys, threading
from pathlib import Path
connect = socket.socket.connect
def local(self, address):
    assert self.family == socket.AF_UNIX or address[0] in {"127.0.0.1", "::1", "localhost"}, address
    return connect(self, address)
socket.socket.connect = local
from tests.unit.train.loop.test_tracking import told
told(sys.argv[1], Path(sys.argv[2]))
assert not any(thread.name.startswith("Otel") for thread in threading.enumerate()), "it would report its use"
"""


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SET:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)


def run_alone(logger: str, folder: Path) -> None:
    """Log in a process of its own, as both loggers leave threads behind."""
    paths = (str(Path(__file__).parents[4]), *filter(None, [os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, logger, str(folder)],
        check=False,
        capture_output=True,
        text=True,
        env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    assert ended.returncode == 0, ended.stderr


def told(logger: str | None, folder: Path) -> list[Step]:
    shown: list[Step] = []
    with tracked(shown.append, logger, SETTINGS, folder) as progress:
        for step in STEPS:
            progress(step)
    return shown


def test_nothing_is_imported_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    assert told(None, tmp_path) == list(STEPS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_logger_that_is_missing_is_named_with_its_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingDependencyError, match=rf"--log {name} needs the package {name}, .*\[tracking\]"
    ):
        told(name, tmp_path)


def test_only_the_first_process_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "made up")
    monkeypatch.setenv("RANK", "1")
    assert told("mlflow", tmp_path) == list(STEPS)


def test_mlflow_gets_settings_once_and_the_losses_of_each_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []

    @contextmanager
    def start_run(run_name: str) -> Any:
        said.append(("run", run_name))
        yield
        said.append("ended")

    monkeypatch.setitem(
        sys.modules,
        "mlflow",
        SimpleNamespace(
            set_tracking_uri=lambda uri: said.append(("to", uri)),
            set_experiment=lambda name: said.append(("experiment", name)),
            start_run=start_run,
            log_params=said.append,
            log_metrics=lambda metrics, step: said.append((metrics, step)),
        ),
    )
    assert told("mlflow", tmp_path) == list(STEPS)
    assert said == [
        ("to", (tmp_path / "mlruns").as_uri()),
        ("experiment", "stenograde"),
        ("run", tmp_path.name),
        {"fit.epochs": "2", "fit.precision": "32", "folds": "5"},
        ({"fold 1- net/loss": 0.75, "fold 1- net/validation loss": 0.5}, 1),
        ({"fold 1- net/loss": 0.25}, 2),
        "ended",
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example")
    said.clear()
    told("mlflow", tmp_path)
    assert said[0] == ("experiment", "stenograde"), "a user's own address is left to MLflow"


def test_wandb_is_offline_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    logged: list[Any] = []

    @contextmanager
    def init(**how: Any) -> Any:
        asked.append(how)
        yield SimpleNamespace(
            define_metric=lambda name, step_metric: logged.append((name, step_metric)), log=logged.append
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=dict))
    assert told("wandb", tmp_path) == list(STEPS)
    assert asked[0]["mode"] == "offline"
    assert asked[0]["dir"] == str(tmp_path)
    assert asked[0]["config"] == SETTINGS
    assert asked[0]["settings"]["console"] == "off"
    assert [one for one in logged if isinstance(one, dict)] == [
        {"fold 1- net/epoch": 1, "fold 1- net/loss": 0.75, "fold 1- net/validation loss": 0.5},
        {"fold 1- net/epoch": 2, "fold 1- net/loss": 0.25},
    ]
    assert logged[0] == ("fold 1- net/*", "fold 1- net/epoch")
    monkeypatch.setenv("WANDB_MODE", "online")
    told("wandb", tmp_path)
    assert asked[1]["mode"] == "online"


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs the extra 'tracking'")
def test_mlflow_itself_keeps_the_run_in_the_folder_and_sends_nothing(tmp_path: Path) -> None:
    run_alone("mlflow", tmp_path)
    (run,) = tmp_path.glob("mlruns/*/*/params/..")
    params = {path.name: path.read_text() for path in (run / "params").iterdir()}
    assert params == {"fit.epochs": "2", "fit.precision": "32", "folds": "5"}
    lines = (run / "metrics" / "fold 1- net" / "loss").read_text().splitlines()
    assert [tuple(map(float, line.split()[1:3])) for line in lines] == [(0.75, 1), (0.25, 2)]


@pytest.mark.skipif(find_spec("wandb") is None, reason="needs the extra 'tracking'")
def test_wandb_itself_keeps_the_run_in_the_folder_and_sends_nothing(tmp_path: Path) -> None:
    run_alone("wandb", tmp_path)
    (run,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert run.stat().st_size > 0
