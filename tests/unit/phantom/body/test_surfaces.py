"""Surfaces of labelled vertebrae: distances against those of a block whose faces are known, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stenograde.errors import DatasetError
from stenograde.phantom.body.surfaces import NAMES, read_surfaces

STEP_MM, PITCH_MM = 1.0, 36.0
HALF_MM = np.array([15.0, 20.0, 12.0])
"""Half the size of a block to the front, to the left and to the head."""


def _blocks() -> np.ndarray:
    """Six blocks one above the other, L1 on top; axes to the front, to the left and to the head."""
    labels = np.zeros((60, 80, 220), np.uint8)
    front, left, up = np.ogrid[:60, :80, :220]
    for k in range(len(NAMES)):
        aside = (np.abs(front - 30) <= HALF_MM[0]) & (np.abs(left - 40) <= HALF_MM[1])
        labels[aside & (np.abs(up - (200 - k * PITCH_MM)) <= HALF_MM[2])] = k + 1
    return labels


def _write(folder: Path, labels: np.ndarray, **changed: np.ndarray) -> Path:
    arrays = {"labels": labels, "origin_mm": np.zeros(3), "spacing_mm": np.full(3, STEP_MM)} | changed
    np.savez_compressed(folder / "labels_05mm.npz", **arrays)
    return folder


def test_distances_are_those_of_a_block_behind_its_wall(tmp_path: Path) -> None:
    surfaces = read_surfaces(_write(tmp_path, _blocks()))
    assert tuple(surfaces) == NAMES
    block = surfaces["L2"]
    behind = np.array([-3.0, -1.0, 1.0, 3.0])
    np.testing.assert_allclose(block.at(0.0 * behind, behind, 0.0 * behind), behind, atol=0.6)
    aside = np.array([17.0, 19.0, 21.0, 23.0])
    np.testing.assert_allclose(block.at(aside, 0 * aside - 4, 0 * aside), aside - HALF_MM[1], atol=0.6)
    assert block.half_height_mm == pytest.approx(HALF_MM[2], abs=0.6)
    assert float(block.at(np.zeros(1), np.full(1, 400.0), np.zeros(1))[0]) > 5


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda folder: None, "labels_05mm.npz"),
        (lambda folder: (folder / "labels_05mm.npz").write_bytes(b"no archive"), "labels_05mm.npz"),
        (lambda folder: _write(folder, np.where(_blocks() == 3, 0, _blocks())), "missing L3"),
        (lambda folder: _write(folder, _blocks(), spacing_mm=np.array([1.0, 1.0, 2.0])), "one spacing"),
    ],
)
def test_what_is_no_set_of_bones_is_refused(change, word: str, tmp_path: Path) -> None:
    change(tmp_path)
    with pytest.raises(DatasetError, match=word):
        read_surfaces(tmp_path)
