"""What is no lumbar spine is refused by the shipped bundle: a neck, a head, also on its side, a knee."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.other_regions import T1, T2, head, knee, neck
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde import default_bundle
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
