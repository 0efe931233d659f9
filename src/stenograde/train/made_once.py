"""Things made once and kept in a folder, with the settings and code that made them; how phantoms are acquired."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stenograde.config import as_plain
from stenograde.files import keep_settings, whole_file
from stenograde.phantom import ContrastMode, Protocol, ProtocolMix, body, draw_protocol, scanner
from stenograde.predict.bundle import Bundle
from stenograde.workers import Progress, counted, in_processes

SETTINGS = "settings.json"
"""Settings that the things in a folder were made by."""

_HOMES = tuple(Path(one.__path__[0]) for one in (body, scanner))
"""Folders of the code that every picture of a phantom goes through; phantom/files only writes what is rendered."""


def protocol_in(
    rng: np.random.Generator, contrasts: Sequence[ContrastMode], mix: ProtocolMix, *, layers: int
) -> Protocol:
    """Draw how one patient is acquired: the contrast with equal odds, the rest by a mix."""
    contrast = contrasts[int(rng.integers(len(contrasts)))]
    return replace(draw_protocol(rng, replace(mix, contrast=contrast)), layers=layers)


def settings_of(config: object, **more: object) -> dict[str, Any]:
    """Return what the things made depend on: settings, and the phantom's code, as other code makes other patients."""
    parts = [path for home in _HOMES for path in sorted(home.glob("*.py"))]
    code = hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
    return {**as_plain(config), **as_plain(more), "phantom": code}


def make_files(
    folder: Path,
    n: int,
    make: Callable[[int], Mapping[str, Any]],
    *,
    workers: int,
    progress: Progress | None,
) -> list[Path]:
    """Make the files of phantoms that are still to be made, one for each, and return all of them.

    Parameters
    ----------
    folder : Path
    n : int
        Phantoms.
    make : callable
        Gives the arrays of a phantom by name, from its number; it must go to other processes.
    workers : int
        Processes that render; 1 or fewer for this one.
    progress : callable, optional
    """
    files = [folder / f"{number}.npz" for number in range(n)]
    missing = [number for number, file in enumerate(files) if not file.is_file()]
    all_made = zip(missing, in_processes(make, missing, workers), strict=True)
    for number, arrays in counted(all_made, "phantoms", n, progress, before=n - len(missing)):
        with whole_file(files[number]) as file:
            np.savez_compressed(file, **arrays)
    return files


def keep_cut_settings(folder: Path, config: object, data: Path, bundle: Bundle, *, what: str) -> None:
    """Write the settings that a folder's crops of real studies are cut by, or check them; see :func:`keep_settings`."""
    settings = {"crops": as_plain(config), "data": str(data.resolve()), "bundle": bundle.hash}
    keep_settings(folder / SETTINGS, settings, what=what)
