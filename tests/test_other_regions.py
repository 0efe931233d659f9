"""What is no lumbar spine is refused by the shipped bundle: a neck, a head, also on its side, a knee."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.dicom_files import T2 as DICOM_T2
from tests.dicom_files import mr_dataset, save
from tests.other_regions import T1, T2, head, knee, neck
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde import default_bundle
from stenograde.cli import main
from stenograde.errors import StudyError
from stenograde.predict.locate import locate_study
from stenograde.study import Volume


def refused(volume: Volume) -> str:
    with pytest.raises(StudyError) as caught:
        locate_study(study_of(series_of(volume)), default_bundle())
    return str(caught.value)


@pytest.mark.parametrize(("seed", "signals"), [(0, T2), (1, T2), (2, T1)])
def test_a_neck_is_refused(seed, signals):
    assert "must show the lumbar" in refused(neck(seed, signals))


@pytest.mark.parametrize("turns", [0, 1])
def test_a_head_is_refused_also_on_its_side(turns):
    volume = head(T2)
    pixels = np.ascontiguousarray(np.rot90(volume.pixels, turns, (1, 2)))

    assert "must show the lumbar" in refused(volume_of(pixels, volume.affine))


@pytest.mark.parametrize(
    "made", [lambda: neck(0, T2), lambda: head(T2), lambda: knee(T2)], ids=["neck", "head", "knee"]
)
def test_files_of_another_region_end_in_one_line_and_no_result(made, tmp_path, capsys):
    volume = made()
    across = volume.affine[:3, 2] / np.linalg.norm(volume.affine[:3, 2])
    down = volume.affine[:3, 1] / np.linalg.norm(volume.affine[:3, 1])
    pixels = (volume.pixels * 900 / volume.pixels.max()).astype(np.uint16)
    (tmp_path / "in").mkdir()
    for number, picture in enumerate(pixels):
        ds = mr_dataset(picture, number=number + 1, **DICOM_T2)
        ds.PixelSpacing = [float(one) for one in volume.spacing_mm[1:]]
        ds.ImageOrientationPatient = [*map(float, across), *map(float, down)]
        ds.ImagePositionPatient = [float(one) for one in (volume.affine @ [number, 0, 0, 1])[:3]]
        save(ds, tmp_path / "in" / f"{number}.dcm")

    assert main(["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "must show the lumbar" in said.err
    assert not any((tmp_path / "out").glob("*"))


def test_a_knee_is_refused():
    assert "must show the lumbar" in refused(knee(T2))


def test_a_neck_of_the_size_of_a_lumbar_spine_has_no_certain_name():
    """Bodies and canal are there; only the sacrum is not."""
    volume = neck(0, T2, slice_mm=6.0)
    large = replace(volume, affine=volume.affine @ np.diag([1.6, 1.6, 1.6, 1]))
    try:
        found = locate_study(study_of(series_of(large)), default_bundle())
    except StudyError:
        return
    assert not any(position.certain for position in found.points.positions())
    assert not found.points.chain.sacrum_seen
