"""What a result of discs keeps: the discs as they were cut out, the bundle that found them, and the recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import numpy as np

from stenograde.config import build
from stenograde.errors import ConfigError, DatasetError
from stenograde.experiments.discs.crops import DiscCropConfig, DiscSet, read_discs
from stenograde.experiments.discs.recipe import DiscRecipe
from stenograde.files import whole_file
from stenograde.predict.bundle import Bundle, load_bundle
from stenograde.terms import Level
from stenograde.train.made_once import keep_cut_settings
from stenograde.workers import Progress

RECIPE: Final = "recipe.json"
"""File of the recipe that was run."""

DIGEST: Final = "discs_sha256"
"""Key in :data:`RECIPE` of the hash of the discs."""

WEIGHTS: Final = "weights"
"""Key in :data:`RECIPE` of what the frozen encoder started from, where it was given."""

CROPS: Final = "crops"
"""Folder of the discs that nets are fitted on."""

DISCS: Final = "discs.npz"
"""Discs that were cut out, in their folder."""

BUNDLE: Final = "bundle"
"""Copy of the bundle that found them."""


def read_disc_result(folder: Path) -> tuple[DiscRecipe, DiscSet, Bundle, str | None]:
    """Return the recipe of a result, the discs that it was run on, the bundle that found them, and ``--weights``.

    Raises
    ------
    DatasetError
        If the folder holds no result of discs.
    """
    path, stored, bundle = folder / RECIPE, folder / CROPS / DISCS, folder / BUNDLE
    if not (path.is_file() and stored.is_file() and bundle.is_dir()):
        msg = (
            f"{folder} must hold a result of s3-spider, got none; run 'stenograde experiment s3-spider' first"
        )
        raise DatasetError(msg)
    table = json.loads(path.read_text(encoding="utf-8"))
    table.pop(DIGEST, None)
    weights = table.pop(WEIGHTS, None)
    return build(DiscRecipe, table), _stored(stored), load_bundle(bundle), weights


def cut_once(
    data: Path, bundle: Bundle, config: DiscCropConfig, folder: Path, *, progress: Progress | None = None
) -> DiscSet:
    """Cut the graded discs of a data set out into a folder, or read those that were cut before.

    See :func:`stenograde.experiments.discs.crops.read_discs`.

    Raises
    ------
    ConfigError
        If the folder holds discs of other settings.
    DatasetError
        If the data cannot be read.
    """
    keep_cut_settings(folder, config, data, bundle, what="discs")
    if (folder / DISCS).is_file():
        return _stored(folder / DISCS)
    discs = read_discs(data, bundle, config, progress=progress)
    with whole_file(folder / DISCS) as file:
        np.savez_compressed(
            file,
            crops=discs.crops,
            there=discs.there,
            answers=discs.answers,
            patients=np.array(discs.patients),
            levels=np.array([level.value for level in discs.levels]),
            notes=np.array(discs.notes, dtype=str),
        )
    return discs


def keep_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """Return a copy of a bundle beside a result, made once, so that further patients are seen by the same locator.

    Raises
    ------
    ConfigError
        If another bundle is there.
    """
    kept = folder / BUNDLE
    if not kept.is_dir():
        shutil.copytree(bundle.folder, folder / f".{BUNDLE}", dirs_exist_ok=True)
        (folder / f".{BUNDLE}").rename(kept)
    found = load_bundle(kept)
    if found.hash != bundle.hash:
        msg = f"{folder} must be of the bundle {bundle.table.name} as it is, got discs that another found"
        raise ConfigError(msg)
    return found


def _stored(path: Path) -> DiscSet:
    with np.load(path) as kept:
        return DiscSet(
            kept["crops"],
            kept["there"],
            kept["answers"],
            tuple(map(str, kept["patients"])),
            tuple(Level(str(one)) for one in kept["levels"]),
            tuple(map(str, kept["notes"])),
        )
