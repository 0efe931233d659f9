"""Cache of the prepared pictures of a sample set on disk, memory-mapped: resampled once, checked whenever opened.

One file holds one set at one setting. Its name depends on the set, the names of its samples, the setting and the
versions of the preparation; each row stores a digest of its source and its own checksum. Rows whose source has
changed and damaged rows are made again; a file that cannot be understood is made again as a whole.
Files appear whole or not at all, so several processes may share a folder: the last to finish wins, and all write
the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.samples import SampleSet
from stenograde.errors import DatasetError
from stenograde.files import UNFINISHED, whole_file
from stenograde.images.pictures import PictureConfig, prepare_picture
from stenograde.workers import Progress, Step

FORMAT: Final = 1
"""Version of the file's layout and of :func:`prepare_picture`; raise it when either changes."""

_MAGIC: Final = b"stenograde pictures\n"
_PAGE: Final = 4096
"""Alignment of the pixels, bytes: the usual memory page."""

_ROW: Final = np.dtype([("source", "S32"), ("checksum", "<u4")])
"""Record of each row: half of the SHA-256 of its source's key, in hexadecimal, and the CRC-32 of its pixels."""

_ABANDONED_S: Final = 86_400.0
"""Age at which an unfinished file is removed, s."""


def cached_pictures(
    samples: SampleSet,
    config: PictureConfig,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Return the prepared pictures of a sample set.

    For parts of a set, cache the whole set and index the result: every set has its own file.

    Parameters
    ----------
    samples : SampleSet
    config : PictureConfig
    folder : Path
        Created if absent.
    progress : callable, optional
        Counts the pictures that are made.

    Returns
    -------
    pictures : ndarray of shape (n, *config.size_px), uint8
        Memory-mapped, read-only pictures; row k is sample k.

    Raises
    ------
    DatasetError
        If the set is empty, a picture cannot be read, or the folder cannot be written.
    """
    if not len(samples):
        msg = f"a set to be cached must hold at least one picture, got none in {samples.name}"
        raise DatasetError(msg)
    path = folder / f"{_name(samples, config)}.pictures"
    sources = np.array([_digest(sample.picture.key) for sample in samples.samples], "S32")
    shape = (len(samples), *config.size_px)
    found = _opened(path, shape)
    if found is not None:
        pictures, rows = found
        sound = _sound(pictures, rows, sources)
        if sound.all():
            return pictures
        kept = {int(place): pictures[place] for place in np.flatnonzero(sound)}
    else:
        kept = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        _write(path, sources, _rows(samples, config, kept=kept, progress=progress))
    except OSError as exc:
        msg = f"cache must be a folder that can be written, got {folder} ({exc.strerror or exc})"
        raise DatasetError(msg) from exc
    made = _opened(path, shape)
    if made is None:
        msg = f"cache must keep what is written to it, got {path}, which cannot be read back"
        raise DatasetError(msg)
    return made[0]


def _name(samples: SampleSet, config: PictureConfig) -> str:
    facts = [FORMAT, version("scikit-image"), asdict(config), [sample.name for sample in samples.samples]]
    safe = "".join(letter if letter.isalnum() else "-" for letter in samples.name)[:40]
    return f"{safe}-{_digest(json.dumps(facts))[:20]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _offsets(n: int) -> tuple[int, int]:
    """Return the offsets of the table of rows and of the pixels, bytes."""
    table = len(_MAGIC)
    return table, -(-(table + n * _ROW.itemsize) // _PAGE) * _PAGE


def _opened(path: Path, shape: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.void]] | None:
    """Map the pictures of a file and read its table of rows; None if the file is absent or invalid."""
    table_at, pixels_at = _offsets(shape[0])
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != pixels_at + int(np.prod(shape)):
                return None
            if file.read(table_at) != _MAGIC:
                return None
            # a damaged table needs no checksum of its own: its rows would not match what they describe
            rows = np.frombuffer(file.read(shape[0] * _ROW.itemsize), _ROW)
            # the map stays on this very file, even if another process replaces it
            return np.memmap(file, np.uint8, "r", pixels_at, shape), rows
    except OSError:
        return None


def _sound(
    pictures: NDArray[np.uint8], rows: NDArray[np.void], sources: NDArray[np.bytes_]
) -> NDArray[np.bool_]:
    """Return which rows were made from the current source and hold the pixels that were written."""
    checksums = np.array([zlib.crc32(picture) for picture in pictures], "<u4")
    return (rows["source"] == sources) & (rows["checksum"] == checksums)


def _rows(
    samples: SampleSet,
    config: PictureConfig,
    *,
    kept: Mapping[int, NDArray[np.uint8]],
    progress: Progress | None,
) -> Iterator[bytes]:
    """Yield the pixels of each row, making those that are not cached."""
    n_made = 0
    for place, sample in enumerate(samples.samples):
        if place in kept:
            yield kept[place].tobytes()
            continue
        try:
            yield prepare_picture(sample.picture.read(), config).tobytes()
        except (DatasetError, ValueError) as exc:
            msg = f"{sample.name} must be a picture that can be prepared, got one that cannot: {exc}"
            raise DatasetError(msg) from exc
        n_made += 1
        if progress is not None:
            progress(Step("pictures", n_made, len(samples) - len(kept)))


def _write(path: Path, sources: NDArray[np.bytes_], pixels: Iterable[bytes]) -> None:
    table = np.zeros(len(sources), _ROW)
    table["source"] = sources
    with whole_file(path) as file:
        file.seek(_offsets(len(sources))[1])
        for place, row in enumerate(pixels):
            table["checksum"][place] = zlib.crc32(row)
            file.write(row)
        file.seek(0)
        file.write(_MAGIC + table.tobytes())


def _remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files of processes that were killed."""
    for path in folder.glob(UNFINISHED):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
        except FileNotFoundError:
            continue  # another process was faster
