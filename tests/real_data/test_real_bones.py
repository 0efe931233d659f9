"""Surfaces of real vertebrae in phantoms: the measured arches lie on them, and answers do not depend on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stenograde.cli import main
from stenograde.phantom import Population, make_patient
from stenograde.phantom.body.skeleton import Skeleton
from stenograde.phantom.body.surfaces import GRID_MM, read_surfaces

pytestmark = [pytest.mark.data, pytest.mark.slow]


def test_arches_of_cones_lie_on_the_surfaces_that_they_were_measured_on(development_data: Path) -> None:
    surfaces = read_surfaces(development_data / "vertebra_meshes")
    anatomy = make_patient(5).anatomy
    aside, behind = (
        part.astype(np.float32).ravel() for part in np.meshgrid(np.arange(8, 30), np.arange(14, 50))
    )
    for level in range(anatomy.n_sacral, anatomy.n_sacral + 4):
        way = np.full_like(aside, anatomy.centre_mm[level])
        cones, real = (Skeleton.of(anatomy, one).at(way, aside, behind).bone for one in (None, surfaces))
        near = np.minimum(np.abs(cones), np.abs(real)) < 2
        assert np.abs(cones - real)[near].mean() < 1.5
    assert surfaces["L3"].distance.shape == tuple(len(axis) for axis in GRID_MM)


def test_answers_are_the_same_whichever_bones_are_painted(development_data: Path) -> None:
    measured = make_patient(6)
    real = make_patient(6, population=replace(Population(), bones=development_data / "vertebra_meshes"))
    assert measured.levels == real.levels


def test_bones_are_taken_from_the_command_line(development_data: Path, tmp_path: Path) -> None:
    folders = []
    for name, more in (("cones", []), ("surfaces", ["--bones", str(development_data / "vertebra_meshes")])):
        folders.append(tmp_path / name)
        assert main(["phantom", "--patients", "1", "--seed", "3", "--out", str(folders[-1]), *more]) == 0
    cones, surfaces = folders
    assert (cones / "train.csv").read_text() == (surfaces / "train.csv").read_text()
    files = sorted(path.relative_to(cones) for path in cones.rglob("*.dcm"))
    assert files
    assert any((cones / one).read_bytes() != (surfaces / one).read_bytes() for one in files)
