"""What the locator sees of a study as files: the same points as grades.json, a mask on the volume's grid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.plain_volumes import series_of, study_of
from tests.spine_marks import Spine
from tests.spine_pictures import plain_bundle, volume_with

from stenograde import default_bundle, grade_study, read_study
from stenograde.errors import StudyError
from stenograde.geometry import to_ras
from stenograde.grading.located import locate_in_study
from stenograde.report.as_json import as_json
from stenograde.terms import LUMBAR_MRI, Role


def test_levels_json_and_grades_json_of_a_study_state_the_same_points(phantom_study: Path) -> None:
    study, bundle = read_study(phantom_study), default_bundle()
    assert {Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR} <= {series.role for series in study.series}
    located = {level["name"]: level for level in locate_in_study(study, bundle).levels["levels"]}
    graded = as_json(grade_study(study, bundle))
    for level in graded["levels"]:
        assert located[level["name"]]["canal_centre_lps_mm"] == level["point_lps_mm"] is not None
    for cell in graded["cells"]:
        if cell["condition"] == "neural_foraminal_narrowing":
            assert located[cell["level"]][f"{cell['side']}_foramen_lps_mm"] == cell["point_lps_mm"]


def test_the_mask_has_the_grid_of_the_volume_and_levels_run_downwards(tmp_path: Path) -> None:
    volume = volume_with(Spine())
    files = locate_in_study(study_of(series_of(volume)), plain_bundle())
    files.write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "mask.nii.gz",
        "levels.json",
        "overlay.png",
    }
    mask = nibabel.load(tmp_path / "out" / "mask.nii.gz")
    assert mask.shape == volume.shape
    np.testing.assert_allclose(mask.affine, to_ras(volume.affine))
    levels = json.loads((tmp_path / "out" / "levels.json").read_text(encoding="utf-8"))["levels"]
    assert [level["name"] for level in levels[-5:]] == [level.shown for level in LUMBAR_MRI.levels]
    assert levels[0]["name"] == "T12/L1"
    assert set(levels[0]) == {"name", "imaged", "certain", "disc_centre_lps_mm"}
    assert all(level["imaged"] and level["certain"] for level in levels)


def test_a_midline_that_moved_between_series_is_a_doubt() -> None:
    spine = Spine(aside_mm=1.0)
    t2 = series_of(volume_with(spine))
    t1 = series_of(volume_with(replace(spine, aside_mm=-8.0)), role=Role.SAGITTAL_T1, uid="2.25.71")
    (doubt,) = locate_in_study(study_of(t2, t1), plain_bundle()).levels["doubts"]
    assert "the patient may have moved" in doubt


def test_a_study_without_a_spine_is_refused_as_in_grading() -> None:
    volume = volume_with(Spine())
    empty = replace(
        volume, source=lambda indices: np.zeros((len(indices), *volume.shape[1:]), np.float32), _decoded={}
    )
    with pytest.raises(StudyError, match="must show the lumbar canal and discs"):
        locate_in_study(study_of(series_of(empty)), plain_bundle())
