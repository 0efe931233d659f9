"""Losses and settings of a training to MLflow or Weights & Biases, where a user asks for one of them.

Both keep what they are given in the output folder; nothing leaves the machine unless the user's own variables say where
to (``MLFLOW_TRACKING_URI``, ``WANDB_MODE=online``). Their reports about their own use are turned off.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from stenograde.config import dotted
from stenograde.errors import MissingDependencyError, installing
from stenograde.train.loop.processes import is_first
from stenograde.workers import Progress, Step

PROJECT: Final = "stenograde"
"""Experiment of MLflow, project of Weights & Biases."""

_FORBIDDEN: Final = re.compile(r"[^\w\-. /:]")
"""What MLflow takes in no name of a metric."""

LogLosses = Callable[[str, int, Mapping[str, float]], None]
"""(what is fitted, epoch from 1, losses by name)."""


@contextmanager
def tracked(
    progress: Progress, logger: str | None, settings: Mapping[str, Any], folder: Path
) -> Iterator[Progress]:
    """Give a callback that passes steps on and logs the losses of each epoch.

    Parameters
    ----------
    progress : callable
    logger : {"mlflow", "wandb"} or None
        None logs nothing; nor does any process but the first that torchrun started.
    settings : mapping
        Every setting as plain values; logged by dotted names.
    folder : Path
        Gets the logger's files; its name is that of the run.

    Raises
    ------
    MissingDependencyError
        If the logger is not installed.
    """
    if logger is None or not is_first():
        yield progress
        return
    with OPEN[logger](settings, folder) as log:

        def both(step: Step) -> None:
            progress(step)
            losses = {"loss": step.loss, "validation loss": step.validation_loss}
            known = {name: value for name, value in losses.items() if value is not None}
            if known:
                log(_FORBIDDEN.sub("-", step.what), round(step.done), known)

        yield both


@contextmanager
def _mlflow(settings: Mapping[str, Any], folder: Path) -> Iterator[LogLosses]:
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE"):
        os.environ.setdefault(name, "true")
    mlflow = _imported("mlflow")
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri((folder / "mlruns").resolve().as_uri())
    mlflow.set_experiment(PROJECT)
    with mlflow.start_run(run_name=folder.name):
        mlflow.log_params({name: str(value) for name, value in dotted(settings)})

        def log(what: str, epoch: int, losses: Mapping[str, float]) -> None:
            mlflow.log_metrics({f"{what}/{name}": value for name, value in losses.items()}, step=epoch)

        yield log


@contextmanager
def _wandb(settings: Mapping[str, Any], folder: Path) -> Iterator[LogLosses]:
    # as variables: it reports about its own use before it has read what it is called with
    mode = os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wandb = _imported("wandb")
    quiet = wandb.Settings(
        console="off",
        disable_git=True,
        save_code=False,
        silent=True,
        x_disable_meta=True,
        x_disable_stats=True,
    )
    with wandb.init(
        project=PROJECT, name=folder.name, dir=str(folder), config=dict(settings), mode=mode, settings=quiet
    ) as run:

        def log(what: str, epoch: int, losses: Mapping[str, float]) -> None:
            # epochs begin again with each net that is fitted, and a run's own steps may not
            run.define_metric(f"{what}/*", step_metric=f"{what}/epoch")
            run.log({f"{what}/epoch": epoch} | {f"{what}/{name}": value for name, value in losses.items()})

        yield log


OPEN: Final[Mapping[str, Callable[[Mapping[str, Any], Path], AbstractContextManager[LogLosses]]]] = {
    "mlflow": _mlflow,
    "wandb": _wandb,
}
"""How each logger is opened, by its name."""


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as exc:
        msg = f"--log {name} needs the package {exc.name}, which is not installed; {installing('tracking')}"
        raise MissingDependencyError(msg) from exc
