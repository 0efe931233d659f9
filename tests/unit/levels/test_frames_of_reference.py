"""Points are carried between series of one frame of reference, or of an assumed one where the spine is in both."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedMRImageStorage
from tests.plain_volumes import series_of, study_of, volume_of

from stenograde import default_bundle, grade_study, read_study
from stenograde.grades import Status
from stenograde.levels.frames_of_reference import keep_reachable
from stenograde.predict.locate import LocatedStudy, locate_study
from stenograde.study import Series, Study
from stenograde.terms import Condition, Role

ASSUMED = (
    "series without a common frame of reference ({}) are assumed to share one, "
    "and points are carried between them"
)
NAMES = {role: role.shown for role in (Role.SAGITTAL_T2_STIR, Role.SAGITTAL_T1, Role.AXIAL_T2)}


@pytest.fixture(scope="module")
def whole(phantom_study: Path) -> Study:
    return read_study(phantom_study)


@pytest.fixture(scope="module")
def located(whole: Study) -> LocatedStudy:
    return locate_study(whole, default_bundle())


def edited(study: Path, copy: Path, uids: Iterable[str], edit: Callable[[Dataset], None]) -> Path:
    """Copy a study and change each instance of some of its series."""
    shutil.copytree(study, copy)
    for uid in uids:
        for path in copy.glob(f"{uid.rpartition('.')[2]}/*.dcm"):
            ds = dcmread(path)
            edit(ds)
            ds.save_as(path)
    return copy


def removed(ds: Dataset) -> None:
    del ds.FrameOfReferenceUID


def renamed(ds: Dataset) -> None:
    ds.FrameOfReferenceUID = f"2.25.{ds.SeriesInstanceUID.rpartition('.')[2]}"


def moved(ds: Dataset) -> None:
    """Another frame of reference, with its origin 300 mm lower."""
    renamed(ds)
    x, y, z = ds.ImagePositionPatient
    ds.ImagePositionPatient = [x, y, float(z) + 300]


def kept(study: Study, located: LocatedStudy) -> tuple[Study, tuple[str, ...]]:
    return keep_reachable(study, study.by_role(Role.SAGITTAL_T2_STIR), located.points)


def uid_of(study: Study, role: Role) -> str:
    return study.by_role(role).uid


def test_a_phantoms_series_share_a_frame_of_reference_and_nothing_is_said(whole, located):
    stated = {volume.frame_of_reference_uid for _, volume in whole.volumes()}

    assert stated == {f"{whole.uid}.1"}
    assert located.warnings == ()
    found, warnings = kept(whole, located)
    assert (found.series, found.unused, warnings) == (whole.series, (), ())


@pytest.mark.parametrize("edit", [removed, renamed])
@pytest.mark.parametrize(
    ("roles", "named"),
    [
        (tuple(NAMES), tuple(NAMES)),
        ((Role.SAGITTAL_T2_STIR,), tuple(NAMES)),
        ((Role.AXIAL_T2,), (Role.SAGITTAL_T2_STIR, Role.AXIAL_T2)),
    ],
)
def test_where_the_spine_is_in_both_one_frame_is_assumed_and_said_once(
    tmp_path, phantom_study, whole, located, edit, roles, named
):
    uids = [uid_of(whole, role) for role in roles]
    study = read_study(edited(phantom_study, tmp_path / "study", uids, edit))
    found, (warning,) = kept(study, located)

    assert found.series == study.series
    assert found.unused == ()
    assert set(warning.partition("(")[2].partition(")")[0].split(", ")) == {NAMES[role] for role in named}
    assert warning.startswith(ASSUMED.partition("{")[0])
    assert warning.endswith(ASSUMED.partition("}")[2])


@pytest.mark.parametrize("role", [Role.SAGITTAL_T1, Role.AXIAL_T2])
def test_a_series_elsewhere_in_another_frame_is_left_out_and_said(
    tmp_path, phantom_study, whole, located, role
):
    uid = uid_of(whole, role)
    study = read_study(edited(phantom_study, tmp_path / "study", [uid], moved))
    found, (warning,) = kept(study, located)

    assert found.by_role(role) is None
    assert len(found.series) == len(study.series) - 1
    (unused,) = found.unused
    assert unused.what == f"series {uid}"
    assert unused.why == (
        f"states no frame of reference in common with series {uid_of(whole, Role.SAGITTAL_T2_STIR)}, and shows 0 of "
        "the 5 levels found there"
    )
    assert warning == f"{role.shown} is not graded: {unused.what} {unused.why}"


def test_a_series_elsewhere_in_the_same_frame_stays(whole, located):
    reference = whole.by_role(Role.AXIAL_T2).volumes[0].frame_of_reference_uid
    away = replace(volume_of(np.zeros((4, 8, 8)), np.eye(4)), frame_of_reference_uid=reference)
    study = study_of(located.series, series_of(away, role=Role.AXIAL_T2))

    assert keep_reachable(study, located.series, located.points)[0].series == study.series


def test_grades_do_not_rest_on_a_series_that_is_left_out(tmp_path, phantom_study, whole):
    axial = uid_of(whole, Role.AXIAL_T2)
    study = edited(phantom_study, tmp_path / "moved", [axial], moved)
    without = tmp_path / "without"
    shutil.copytree(phantom_study, without, ignore=shutil.ignore_patterns(axial.rpartition(".")[2]))

    grades = grade_study(read_study(study), default_bundle())
    expected = grade_study(read_study(without), default_bundle())

    assert grades.cells == expected.cells
    assert grades.measurements == expected.measurements
    assert [unused.what for unused in grades.unused] == [f"series {axial}"]
    assert sum("is not graded" in warning for warning in grades.warnings) == 1
    recesses = [one for one in grades.cells if one.cell.condition is Condition.SUBARTICULAR_STENOSIS]
    assert all(one.status is not Status.GRADED and not one.evidence for one in recesses)


def enhanced(series: Series, files: dict[str, Dataset]) -> Dataset:
    """The slices of a series as one Enhanced MR instance."""
    (volume,) = series.volumes
    slices = [files[uid] for uid in volume.sop_instance_uids]
    ds = Dataset()
    ds.update(slices[0])
    ds.file_meta = slices[0].file_meta
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    ds.NumberOfFrames = len(slices)
    ds.PixelData = b"".join(one.pixel_array.tobytes() for one in slices)
    ds.PerFrameFunctionalGroupsSequence = [Dataset() for _ in slices]
    macros = {
        "PlanePositionSequence": ("ImagePositionPatient",),
        "PlaneOrientationSequence": ("ImageOrientationPatient",),
        "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
        "MRTimingAndRelatedParametersSequence": ("RepetitionTime",),
    }
    for groups, one in zip(ds.PerFrameFunctionalGroupsSequence, slices, strict=True):
        for macro, keywords in macros.items():
            item = Dataset()
            for keyword in set(keywords) & set(one.dir()):
                setattr(item, keyword, one[keyword].value)
            setattr(groups, macro, [item])
        echo = Dataset()
        echo.EffectiveEchoTime = float(one.EchoTime)
        groups.MREchoSequence = [echo]
    for keyword in {keyword for keywords in macros.values() for keyword in keywords} & set(ds.dir()):
        delattr(ds, keyword)
    return ds


def test_an_enhanced_instance_states_its_frame_of_reference_for_all_frames(
    tmp_path, phantom_study, whole, located
):
    t1 = whole.by_role(Role.SAGITTAL_T1)
    folder = shutil.copytree(phantom_study, tmp_path / "study") / t1.uid.rpartition(".")[2]
    files = {ds.SOPInstanceUID: ds for ds in map(dcmread, folder.iterdir())}
    ds = enhanced(t1, files)
    shutil.rmtree(folder)
    for edit, n_warnings in ((None, 0), (removed, 1), (renamed, 1)):
        if edit:
            edit(ds)
            ds.FrameOfReferenceUID = ds.get("FrameOfReferenceUID", "")
        folder.mkdir(exist_ok=True)
        ds.save_as(folder / "1.dcm")
        study = read_study(folder.parent)
        found, warnings = kept(study, located)

        (volume,) = found.by_role(Role.SAGITTAL_T1).volumes
        assert volume.shape == t1.volumes[0].shape
        assert volume.frame_of_reference_uid == (ds.FrameOfReferenceUID or None)
        assert len(warnings) == n_warnings
