"""Whatever the bytes, a file is read or refused in words; order and names of files change nothing."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ImplicitVRLittleEndian, JPEGLosslessSV1, JPEGLSLossless, RLELossless
from tests.dicom_files import NATIVE, T2, mr_dataset, picture, save, write_series

from stenograde.dicom.read.decode import stored_pixels
from stenograde.dicom.read.elements import WANTED
from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.opening import read_instance
from stenograde.dicom.read.studies import read_study
from stenograde.errors import StudyError, UnreadableInstanceError
from stenograde.study import Study
from stenograde.terms import Role

SEEDS = (*NATIVE, RLELossless, JPEGLosslessSV1, JPEGLSLossless)
DISK = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def nested(depth: int) -> Dataset:
    ds = Dataset()
    ds.CodeValue = "111"
    ds.StudyInstanceUID = "9.9.9"
    if depth:
        ds.PurposeOfReferenceCodeSequence = Sequence([nested(depth - 1), nested(depth - 1)])
    return ds


@pytest.mark.parametrize("syntax", SEEDS, ids=lambda syntax: syntax.keyword)
@DISK
@given(data=st.data())
def test_mutated_bytes_are_read_or_refused_in_words(tmp_path, syntax, data):
    path = tmp_path / "slice"
    if not path.exists():
        save(mr_dataset(picture(8, 8)), path, syntax)
        (tmp_path / "whole").write_bytes(path.read_bytes())
    whole = bytearray((tmp_path / "whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(128, len(whole) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=8))
        whole[place : place + len(patch)] = patch
    if data.draw(st.booleans()):
        whole = whole[: data.draw(st.integers(0, len(whole)))]
    path.write_bytes(bytes(whole))

    try:
        instance = read_instance(StudyFile(str(path), "slice"))
        if instance.layout is not None and instance.layout.rows * instance.layout.columns < 1 << 16:
            pixels = stored_pixels(instance)
            assert pixels.shape == (instance.layout.rows, instance.layout.columns)
    except UnreadableInstanceError:
        pass
    with contextlib.suppress(StudyError):
        read_study(tmp_path / "slice").series[0].volumes[0].slices([0])


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
@DISK
@given(
    position=st.lists(st.floats(-500, 500).map(lambda one: round(one, 5)), min_size=3, max_size=3),
    depth=st.integers(0, 3),
    is_undefined=st.booleans(),
    description=st.text(st.characters(codec="latin-1", exclude_categories=("Cc", "Cs")), max_size=20),
    private=st.binary(max_size=40),
)
def test_the_walk_finds_the_values_that_pydicom_finds(
    tmp_path, syntax, position, depth, is_undefined, description, private
):
    ds = mr_dataset(picture(4, 4), ImagePositionPatient=position, EchoTime=97.5)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SeriesDescription = description.replace("\\", "")
    ds.ReferencedImageSequence = Sequence([nested(depth), nested(0)])
    ds["ReferencedImageSequence"].is_undefined_length = is_undefined
    for item in ds.ReferencedImageSequence:
        item.is_undefined_length_sequence_item = is_undefined
    ds.add_new(0x00090010, "LO", "TEST")
    ds.add_new(0x00091001, "OB", private + b"\0" * (len(private) % 2))
    path = save(ds, tmp_path / "slice", syntax)

    ours = read_instance(StudyFile(str(path), "slice"))

    assert ours.notes == ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning of pydicom about our test file is not under test
        theirs = dcmread(path)
        for tag, keyword in WANTED.items():
            assert (keyword in ours.values) == (tag in theirs), keyword
        assert ours.study_uid == theirs.StudyInstanceUID
        assert ours.numbers("ImagePositionPatient") == tuple(map(float, theirs.ImagePositionPatient))
        assert ours.text("SeriesDescription") == theirs.SeriesDescription.strip(" \0")
        assert ours.number("EchoTime") == theirs.EchoTime
    assert ours.layout is not None
    assert (ours.layout.rows, ours.layout.columns) == (4, 4)


@pytest.mark.parametrize("syntax", [NATIVE[0], ImplicitVRLittleEndian], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_missing_delimiter_within_the_header_is_tolerated_and_said(tmp_path, syntax, depth):
    ds = mr_dataset(picture(4, 4), ImagePositionPatient=[1, 2, 3])
    ds.ReferencedImageSequence = Sequence([nested(depth)])
    ds["ReferencedImageSequence"].is_undefined_length = True
    ds.ReferencedImageSequence[0].is_undefined_length_sequence_item = True
    path = save(ds, tmp_path / "slice", syntax)
    data = path.read_bytes()
    item_end, sequence_end = b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert data.count(sequence_end) == 1

    for spoilt in (data.replace(sequence_end, b""), data.replace(item_end + sequence_end, b"")):
        path.write_bytes(spoilt)
        instance = read_instance(StudyFile(str(path), "slice"))

        assert instance.numbers("ImagePositionPatient") == (1, 2, 3)
        assert instance.study_uid == ds.StudyInstanceUID
        assert instance.sop_instance_uid == ds.SOPInstanceUID
        assert any("(0008,1140) has no delimiter" in note for note in instance.notes)
        np.testing.assert_array_equal(stored_pixels(instance), picture(4, 4))


@DISK
@given(order=st.permutations(range(6)))
def test_names_and_instance_numbers_order_nothing(tmp_path, order):
    folder = tmp_path / "series"
    if not folder.exists():
        write_series(folder, n=6, **T2)
    expected = read_study(folder).series[0].volumes[0]
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir(exist_ok=True)
    for place, index in enumerate(order):
        ds = dcmread(io.BytesIO((folder / f"{index + 1}.dcm").read_bytes()))
        ds.InstanceNumber = place + 1
        ds.save_as(shuffled / f"{place}")

    volume = read_study(shuffled).series[0].volumes[0]

    np.testing.assert_array_equal(volume.affine, expected.affine)
    np.testing.assert_array_equal(volume.pixels, expected.pixels)
    assert volume.sop_instance_uids == expected.sop_instance_uids


def answer(study: Study) -> dict[Role, list[tuple[object, ...]]]:
    """What grading would see: the grids and pixels of each role, in no order of series."""
    found: dict[Role, list[tuple[object, ...]]] = {role: [] for role in Role}
    for series, volume in study.volumes():
        if series.role is not None:
            grid = tuple(np.round(volume.affine, 3).ravel().tolist())
            found[series.role].append((grid, volume.shape, volume.pixels.tobytes()))
    return {role: sorted(volumes) for role, volumes in found.items()}


def regrouped(files: list[Path], folder: Path, data: st.DataObject) -> Path:
    """Write files in another order, under other names, numbers and SeriesInstanceUIDs."""
    n_uids = data.draw(st.sampled_from([0, 1, 2, 3, 7, 1000]), label="UIDs")
    is_renumbered = data.draw(st.booleans(), label="renumbered")
    rng = data.draw(st.randoms(use_true_random=False))
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for place, path in enumerate(rng.sample(files, len(files))):
        ds = dcmread(path)
        if n_uids:
            ds.SeriesInstanceUID = f"1.2.3.{place if n_uids == 1000 else rng.randrange(n_uids)}"
        if is_renumbered:
            ds.InstanceNumber = place + 1
        ds.save_as(folder / f"IM{place:04d}")
    return folder


REGROUP = settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize("stripped", [False, True])
@REGROUP
@given(data=st.data())
def test_a_phantom_whose_files_are_renamed_renumbered_and_regrouped_gives_the_same_answer(
    tmp_path, phantom_study, stripped, data
):
    plain = tmp_path / "plain"
    if not plain.exists():
        plain.mkdir()
        for place, path in enumerate(sorted(phantom_study.rglob("*.dcm"))):
            ds = dcmread(path)
            for keyword in _TOLD if stripped else ():
                if keyword in ds:
                    delattr(ds, keyword)
            ds.save_as(plain / f"{place}")

    study = read_study(regrouped(sorted(plain.iterdir()), tmp_path / "regrouped", data))

    assert study.unused == ()
    assert answer(study) == answer(read_study(plain))


_TOLD = ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "ScanningSequence", "EchoTrainLength")
_TOLD += (
    "SeriesNumber",
    "AcquisitionNumber",
    "SeriesDescription",
    "ProtocolName",
    "ImageType",
    "ScanOptions",
)
"""What de-identified data leave out of what tells acquisitions apart."""


@pytest.mark.data
@REGROUP
@given(data=st.data())
def test_a_real_study_whose_files_are_renamed_renumbered_and_regrouped_gives_the_same_answer(
    tmp_path, development_data, data
):
    files = sorted((development_data / "rsna2024_study" / "train_images" / "100206310").rglob("*.dcm"))

    study = read_study(regrouped(files, tmp_path / "regrouped", data))

    assert study.unused == ()
    assert answer(study) == answer(read_study([*files]))
