"""The state of a fit on disk: written whole or not at all, so that a killed fit resumes after its last epoch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stenograde.errors import ConfigError
from stenograde.train.loop.fit_config import EpochRecord, FitConfig

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
"""State after the last whole epoch."""

BEST = "best.pt"
"""Weights with the lowest validation loss."""

_FREE = ("workers",)
"""Settings that change no number and may differ when a fit resumes."""


class Stateful(Protocol):
    """A part of a fit that can be stored."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take a state over."""
        ...


def save_checkpoint(
    folder: Path, parts: Mapping[str, Stateful], history: list[EpochRecord], config: FitConfig
) -> None:
    """Write the state after an epoch."""
    state = {name: part.state_dict() for name, part in parts.items()}
    told = {"history": [asdict(record) for record in history], "config": _settings(config)}
    _write_whole(folder / CHECKPOINT, state | told)


def load_checkpoint(folder: Path, parts: Mapping[str, Stateful], config: FitConfig) -> list[EpochRecord]:
    """Take over the state in a folder, if there is one.

    Returns
    -------
    history : list of EpochRecord
        Records of the epochs done; empty when there is no checkpoint.

    Raises
    ------
    ConfigError
        If the checkpoint is of a fit with other settings or of another net.
    """
    if not (folder / CHECKPOINT).is_file():
        return []
    stored = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
    wanted, got = json.loads(_settings(config)), json.loads(stored["config"])
    differing = [name for name in wanted if wanted[name] != got.get(name)]
    if differing:
        shown = ", ".join(f"{name} {got.get(name)!r} instead of {wanted[name]!r}" for name in differing)
        msg = f"checkpoint in {folder} must be of the same settings, got {shown}; choose another folder"
        raise ConfigError(msg)
    try:
        for name, part in parts.items():
            part.load_state_dict(stored[name])
    except (RuntimeError, ValueError, KeyError) as exc:
        msg = f"checkpoint in {folder} must be of the same net, got other tensors; choose another folder"
        raise ConfigError(msg) from exc
    history = [EpochRecord(**record) for record in stored["history"]]
    log.info("resuming after epoch %d of %s", len(history), folder.name)
    return history


def save_best(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write the weights of the best epoch so far."""
    _write_whole(folder / BEST, dict(weights))


def load_best(folder: Path) -> dict[str, Tensor]:
    """Return the weights of the best epoch."""
    return torch.load(folder / BEST, map_location="cpu", weights_only=True)


def write_weights(net: nn.Module, path: Path, *, half: bool = False) -> Path:
    """Write a net's weights as safetensors, readable by all; gives the path.

    Parameters
    ----------
    net : Module
    path : Path
    half : bool
        Kernels and matrices in 16 bits, vectors in 32: half the size, enough for more training to start from.
    """
    kept = {
        name: (value.half() if half and value.ndim > 1 and value.is_floating_point() else value).contiguous()
        for name, value in net.state_dict().items()
    }
    save_file(kept, path)
    path.chmod(0o644)  # safetensors writes for the owner alone
    return path


def _settings(config: FitConfig) -> str:
    return json.dumps({name: value for name, value in asdict(config).items() if name not in _FREE})


def _write_whole(path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
