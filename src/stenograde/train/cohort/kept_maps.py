"""The maps of a frozen encoder, of every crop as it is and of changed copies of it, kept in one mapped array."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stenograde.config import as_plain
from stenograde.files import keep_settings
from stenograde.nets.level_transfer import LevelTransfer, looked_at
from stenograde.train.cohort.config import CohortTraining
from stenograde.train.cohort.cut import CohortCrops
from stenograde.train.cohort.kept_arrays import kept_array
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.train.grader.batches import changed
from stenograde.train.grader.crops import as_values
from stenograde.train.made_once import SETTINGS
from stenograde.workers import Progress, counted


def keep_maps(
    crops: CohortCrops,
    net: LevelTransfer,
    out: Path,
    config: CohortTraining,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> NDArray[np.float16]:
    """Return the maps of all crops; those that were made before are mapped.

    Parameters
    ----------
    crops : CohortCrops
    net : LevelTransfer
        Its encoder is frozen.
    out : Path
        Gets a folder ``maps-HASH`` for each encoder, setting and cohort.
    config : CohortTraining
    device : torch.device
        Where the encoder runs.
    progress : callable, optional
        Counts the studies.

    Returns
    -------
    maps : ndarray of shape (looks + copies, studies, levels, 2, kinds, places, channels, grid, grid), float16
        First those of each look, which begin with the crops as they are.
    """
    shape = (len(net.config.looks) + config.copies, *_shape(crops, net))
    settings = {
        "encoder": _digest(net),
        "augment": as_plain(config.augment),
        "copies": config.copies,
        "look_px": net.config.look_px,
        "grid": net.config.grid,
        "seed": config.seeds[0],
        "studies": list(crops.names),
        "crops": crops.key,
    }
    folder = out / f"maps-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}"
    keep_settings(folder / SETTINGS, settings, what="maps")
    kept = KeptLines(folder / "done.jsonl")
    maps = kept_array(folder / "maps.npy", shape, np.float16)
    missing = [number for number, name in enumerate(crops.names) if name not in kept.records]
    net = net.to(device).eval()
    n = len(crops.names)
    for number in counted(missing, "maps made", n, progress, before=n - len(missing)):
        for copy in range(len(maps)):
            maps[copy, number] = _maps_of(crops, number, net, config, copy, device)
        maps.flush()
        kept.add({"name": crops.names[number]})
    return maps


def _maps_of(
    crops: CohortCrops,
    number: int,
    net: LevelTransfer,
    config: CohortTraining,
    copy: int,
    device: torch.device,
) -> NDArray[np.float16]:
    """Return the maps of one copy of a study's crops; the first copies are the looks."""
    values = as_values(crops.set.crops[number])
    present = crops.set.present[number]
    looks = net.config.looks
    changes = copy - len(looks) + 1
    if changes > 0:
        values = np.stack(
            [
                changed(
                    one,
                    there,
                    config.augment,
                    np.random.default_rng([config.seeds[0], number, changes, level]),
                )
                for level, (one, there) in enumerate(zip(values, present, strict=True))
            ]
        )
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        seen = torch.from_numpy(values).to(device)
        maps = net.maps(seen if changes > 0 else looked_at(seen, looks[copy]))
    return maps.float().cpu().numpy().astype(np.float16)


def _shape(crops: CohortCrops, net: LevelTransfer) -> tuple[int, ...]:
    config = net.config
    grid = (config.grid, config.grid)
    return (*crops.set.present.shape, config.places, net.encoder.width, *grid)


def _digest(net: LevelTransfer) -> str:
    digest = hashlib.sha256(f"{net.config.encoder} {net.config.stages}".encode())
    for value in net.encoder.state_dict().values():
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
