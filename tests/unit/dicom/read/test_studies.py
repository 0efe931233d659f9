"""The door: what is read, what is left out with which reason, what is refused with which words."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
)
from tests.dicom_files import (
    EXPECTED_ROLES,
    ROOT,
    T1,
    T2,
    mr_dataset,
    picture,
    reasons,
    roles_of,
    save,
    write_series,
    write_study,
)

from stenograde.dicom.read.studies import read_studies, read_study
from stenograde.errors import NoStudyError, SeveralStudiesError, StudyError
from stenograde.terms import Role, Weighting

OTHER_SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def test_a_folder_gives_its_series_with_roles(study_folder):
    study = read_study(study_folder)

    assert roles_of(study) == EXPECTED_ROLES
    assert study.unused == ()
    assert study.warnings == ()
    assert study.series[0].weighting is Weighting.T1
    assert "TE 11 ms, TR 600 ms" in study.series[0].why
    assert study.series[1].volumes[0].pixels.shape == (5, 20, 16)


def test_names_and_nesting_say_nothing(study_folder, tmp_path):
    flat = tmp_path / "flat" / "deep" / "er"
    flat.mkdir(parents=True)
    for number, path in enumerate(sorted(study_folder.rglob("*.dcm"))):
        shutil.copy(path, flat / f"IM{(number * 7) % 15:03d}")

    plain, shuffled = read_study(study_folder), read_study(tmp_path / "flat")

    for role in Role:
        ours, theirs = plain.by_role(role), shuffled.by_role(role)
        assert ours is not None
        assert theirs is not None
        np.testing.assert_array_equal(ours.volumes[0].affine, theirs.volumes[0].affine)
        np.testing.assert_array_equal(ours.volumes[0].pixels, theirs.volumes[0].pixels)


def test_a_zip_is_read_like_its_folder(study_folder, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", study_folder))

    study = read_study(archive)

    assert roles_of(study) == EXPECTED_ROLES
    np.testing.assert_array_equal(
        study.series[2].volumes[0].pixels, read_study(study_folder).series[2].volumes[0].pixels
    )


def test_an_encrypted_or_spoilt_member_of_a_zip_is_listed(study_folder, tmp_path):
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in sorted(study_folder.rglob("*.dcm")):
            zipped.write(path, path.relative_to(study_folder).as_posix())
        zipped.writestr("spoilt.dcm", b"DICM" * 50)
        offset = zipped.getinfo("spoilt.dcm").header_offset
    data = bytearray(archive.read_bytes())
    data[offset + 60 : offset + 64] = b"oops"
    archive.write_bytes(bytes(data))

    assert "damaged member of a zip" in reasons(read_study(archive))["spoilt.dcm"]


def test_a_list_of_files_is_a_study(study_folder):
    paths = sorted((study_folder / "t2").iterdir()) + sorted((study_folder / "ax").iterdir())

    assert set(roles_of(read_study(paths)).values()) == {Role.SAGITTAL_T2_STIR, Role.AXIAL_T2}
    assert set(roles_of(read_study([study_folder / "t1"])).values()) == {Role.SAGITTAL_T1}


def test_a_dicomdir_lists_the_files(study_folder):
    shutil.copy(study_folder / "t1" / "1.dcm", study_folder / "not listed")
    for path in list(study_folder.rglob("*.dcm")):
        path.rename(path.with_suffix(""))
    names = [path.relative_to(study_folder).parts for path in study_folder.glob("*/*")]
    index = Dataset()
    index.SOPClassUID = MediaStorageDirectoryStorage
    index.DirectoryRecordSequence = [Dataset() for _ in [*names, "lost"]]
    for record, parts in zip(index.DirectoryRecordSequence, [*names, ("T1", "LOST")], strict=True):
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = [part.upper() for part in parts]
    save(index, study_folder / "DICOMDIR")

    listed = read_study(study_folder / "DICOMDIR")
    assert roles_of(listed) == EXPECTED_ROLES
    assert reasons(listed) == {"file 1 of 16": "listed by the DICOMDIR, but not there"}

    whole = read_study(study_folder)
    assert roles_of(whole) == EXPECTED_ROLES
    assert reasons(whole)["DICOMDIR"] == "a DICOMDIR: an index, not an image"
    assert reasons(whole)["t1/1"] == "duplicate of not listed"


def test_a_dicomdir_whose_records_are_damaged_is_refused(tmp_path):
    index = Dataset()
    index.SOPClassUID = MediaStorageDirectoryStorage
    index.DirectoryRecordSequence = [Dataset(), Dataset()]
    for record in index.DirectoryRecordSequence:
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["IMG", "I1"]
    save(index, tmp_path / "whole")
    head, file_id, rest = (tmp_path / "whole").read_bytes().rpartition(b"\x04\x00\x00\x15CS")
    (tmp_path / "DICOMDIR").write_bytes(head + file_id[:-1] + b"\0" + rest)

    with pytest.raises(NoStudyError, match="DICOMDIR must be readable, got "):
        read_study(tmp_path / "DICOMDIR")


def test_a_dicomdir_leads_nowhere_outside_its_folder(study_folder, tmp_path):
    outside = tmp_path / "outside"
    shutil.move(study_folder / "t1", outside)
    index = Dataset()
    index.SOPClassUID = MediaStorageDirectoryStorage
    ids = [["..", "outside", path.name] for path in outside.iterdir()]
    ids += [[*path.relative_to(study_folder).parts] for path in study_folder.glob("*/*")]
    ids += [["", "etc", "passwd"], [str(outside / "1.dcm")]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # (of values that the standard does not allow)
        index.DirectoryRecordSequence = [Dataset() for _ in ids]
        for record, parts in zip(index.DirectoryRecordSequence, ids, strict=True):
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", parts
        save(index, study_folder / "DICOMDIR")

    study = read_study(study_folder / "DICOMDIR")

    assert set(roles_of(study).values()) == {Role.SAGITTAL_T2_STIR, Role.AXIAL_T2}
    refused = [one.why for one in study.unused]
    assert refused.count("lies outside the folder of the DICOMDIR that lists it") == len(ids) - 10


def test_an_instance_number_beyond_all_bounds_orders_nothing(study_folder):
    for path in (study_folder / "t2").iterdir():
        ds = dcmread(path)
        del ds.InstanceNumber
        ds.add_new(0x00200013, "DS", "1e304")
        ds.save_as(path)

    assert roles_of(read_study(study_folder)) == EXPECTED_ROLES


def test_a_dicomdir_that_is_none_is_refused(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(b"nothing of the kind")

    with pytest.raises(NoStudyError, match="DICOMDIR must"):
        read_study(tmp_path / "DICOMDIR")


def test_what_is_not_dicom_is_listed_with_the_reason(study_folder):
    whole = (study_folder / "t1" / "1.dcm").read_bytes()
    (study_folder / "README.txt").write_text("read me")
    (study_folder / "empty.dcm").write_bytes(b"")
    (study_folder / "cut_pixels.dcm").write_bytes(whole[:-100])
    (study_folder / "cut_header.dcm").write_bytes(whole[:700])
    (study_folder / "cut_meta.dcm").write_bytes(whole[:150])
    (study_folder / ".DS_Store").write_bytes(bytes(range(256)) * 4)

    found = reasons(read_study(study_folder))

    assert found["README.txt"] == "not a DICOM file (no DICM after a preamble of 128 bytes)"
    assert found[".DS_Store"].startswith("not a DICOM file")
    assert found["empty.dcm"] == "empty file (zero bytes)"
    assert found["cut_pixels.dcm"] == "truncated: the file ends after 540 of 640 bytes of pixel data"
    assert found["cut_header.dcm"].startswith("truncated")
    assert "ends before" in found["cut_meta.dcm"] or "no transfer syntax" in found["cut_meta.dcm"]
    assert len(found) == 6


def test_truncated_encapsulated_pixels_are_listed(tmp_path):
    paths = write_series(tmp_path, n=5, syntax=RLELossless, **T2)
    paths[2].write_bytes(paths[2].read_bytes()[:-60])

    study = read_study(tmp_path)

    assert reasons(study)["3.dcm"].startswith("truncated: the file ends after")


def test_a_missing_sequence_delimiter_after_the_pixels_is_tolerated_and_said(tmp_path):
    for path in write_series(tmp_path, n=5, syntax=RLELossless, **T2):
        data = path.read_bytes()
        assert data.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
        path.write_bytes(data[:-8])

    (series,) = read_study(tmp_path).series

    assert series.role is Role.SAGITTAL_T2_STIR
    assert "pixel data has no sequence delimiter (5 files)" in series.problems
    np.testing.assert_array_equal(series.volumes[0].pixels[0], picture(seed=100))


@pytest.mark.parametrize(
    "rest",
    [
        *(b"\0" * n for n in (1, 2, 4, 7, 8, 9, 64)),
        b"\xfe\xff\xdd",
        b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0",
        b"\x01\x80\x10\0LO\x02\0ab",
    ],
)
def test_what_pads_or_follows_pixels_without_a_delimiter_is_no_damage(tmp_path, rest):
    for path in write_series(tmp_path, n=5, syntax=RLELossless, **T2):
        path.write_bytes(path.read_bytes()[:-8] + rest)

    (series,) = read_study(tmp_path).series

    assert "pixel data has no sequence delimiter (5 files)" in series.problems
    np.testing.assert_array_equal(series.volumes[0].pixels[0], picture(seed=100))


def test_eight_bytes_that_are_no_delimiter_and_a_table_without_a_fragment_are_damage(tmp_path):
    first, second, *_ = write_series(tmp_path, n=5, syntax=RLELossless, **T2)
    first.write_bytes(first.read_bytes()[:-8] + b"\x11" * 8)
    data = second.read_bytes()
    item = b"\xfe\xff\x00\xe0"
    second.write_bytes(data[: data.index(item, data.index(item) + 4) + 8])

    assert set(reasons(read_study(tmp_path))) == {"1.dcm", "2.dcm"}


@pytest.mark.parametrize("shift", [-8, -4, -3, -1, 1, 2, 8, 9])
def test_pixels_that_lost_or_gained_bytes_are_not_decoded(tmp_path, shift):
    """Decoders of JPEG 2000 give a picture for such a stream, and nothing says that it is wrong."""
    path = write_series(tmp_path, n=5, syntax=RLELossless, **T2)[2]
    data = path.read_bytes()
    middle = len(data) - 60
    path.write_bytes(data[:middle] + b"\x11" * max(0, shift) + data[middle + max(0, -shift) :])

    study = read_study(tmp_path)

    assert list(reasons(study)) == ["3.dcm"]
    assert reasons(study)["3.dcm"].startswith(
        "the fragments of its pixel data do not end where the next one begins"
    )


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_other_ways_to_write_a_data_set_are_read(tmp_path, syntax):
    write_series(tmp_path, n=4, syntax=syntax, **T1)

    (series,) = read_study(tmp_path).series

    assert series.role is Role.SAGITTAL_T1
    np.testing.assert_array_equal(series.volumes[0].pixels[3], picture(seed=103))
    assert any("implicit VR" in problem for problem in series.problems) == (syntax == ImplicitVRLittleEndian)


def test_a_file_without_preamble_is_read_by_pydicom_and_said(tmp_path):
    for path in write_series(tmp_path, n=4, **T1):
        path.write_bytes(path.read_bytes()[132:])

    (series,) = read_study(tmp_path).series

    assert series.role is Role.SAGITTAL_T1
    assert any("read by pydicom, because not a DICOM file" in problem for problem in series.problems)
    np.testing.assert_array_equal(series.volumes[0].pixels[3], picture(seed=103))


def test_duplicates_are_listed_once_read(study_folder):
    shutil.copytree(study_folder / "t2", study_folder / "t2 copy")
    shutil.copy(study_folder / "t1" / "1.dcm", study_folder / "z.dcm")

    study = read_study(study_folder)

    assert roles_of(study) == EXPECTED_ROLES
    assert all(series.n_slices == 5 for series in study.series)
    found = reasons(study)
    assert found["z.dcm"] == "duplicate of t1/1.dcm"
    assert [name for name in found if "copy" not in name] == ["z.dcm"]
    assert found["t2 copy/3.dcm"] == "duplicate of t2/3.dcm"
    assert len(found) == 6


def test_an_instance_uid_with_other_content_is_a_duplicate_that_says_so(tmp_path):
    write_series(tmp_path, n=4, **T2)
    other = mr_dataset(picture(seed=9), number=2, ImagePositionPatient=[-4.0, 0.0, 0.0])
    save(other, tmp_path / "again.dcm")

    found = reasons(read_study(tmp_path))

    assert found == {
        "again.dcm": "duplicate: same SOPInstanceUID as 2.dcm, but other content; that one is used"
    }


def test_instance_uids_reused_across_series_are_tolerated_and_said(tmp_path):
    def reuse(ds: Dataset, index: int) -> None:
        ds.SOPInstanceUID = f"{ROOT}.7.{index}"

    write_series(tmp_path / "a", series=1, edit=reuse, **T1)
    write_series(tmp_path / "b", series=2, edit=reuse, **T2)

    study = read_study(tmp_path)

    assert [series.n_slices for series in study.series] == [5, 5]
    assert study.warnings == (
        "5 SOPInstanceUIDs are used in several series; an instance is known by its series as well",
    )


def second_study(folder: Path, **attributes: object) -> str:
    uid = f"{ROOT}.2"
    write_series(folder, series=5, StudyInstanceUID=uid, **T2, **attributes)
    return uid


def test_two_studies_are_named_and_one_can_be_chosen(study_folder):
    first = f"{ROOT}.1"
    second = second_study(study_folder / "other")

    with pytest.raises(
        SeveralStudiesError, match=rf"got 2: {first}, {second}; choose one with --study UID.*--all"
    ):
        read_study(study_folder)

    chosen = read_study(study_folder, study_uid=second)
    assert chosen.uid == second
    assert reasons(chosen)["t1/1.dcm"] == f"of another study ({first}): not chosen"
    assert [study.uid for study in read_studies(study_folder)] == [first, second]
    with pytest.raises(NoStudyError, match=r"study must be one of those found \(.*\), got 9\.9"):
        read_study(study_folder, study_uid="9.9")


def test_a_report_of_another_study_does_not_make_it_two(study_folder):
    report = mr_dataset(picture(), StudyInstanceUID=f"{ROOT}.2", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    save(report, study_folder / "report.dcm")

    assert "of another study" in reasons(read_study(study_folder))["report.dcm"]


@pytest.mark.parametrize("read", [read_study, read_studies])
def test_two_patients_under_one_study_are_refused_without_naming_them(study_folder, read):
    write_series(study_folder / "other", series=5, PatientID="somebody-else", **T2)

    with pytest.raises(SeveralStudiesError, match="one study must be of one patient, got 2 under") as caught:
        read(study_folder)
    assert "somebody-else" not in str(caught.value)
    assert "phantom" not in str(caught.value)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "study must hold DICOM files, got .*, which is empty"),
        (
            lambda folder: (folder / "a.txt").write_text("x"),
            "1 files without any .*: 1 x not a DICOM file",
        ),
        (lambda folder: (folder / "a").write_bytes(b""), "1 x empty file"),
        (
            lambda folder: save(mr_dataset(picture(), Modality="CT"), folder / "a"),
            "study must hold at least one MR series, got 1 files .*not an MR image",
        ),
        (
            lambda folder: save(mr_dataset(picture(), ImagePositionPatient=None), folder / "a"),
            "1 x ImagePositionPatient must be 3 numbers",
        ),
    ],
)
@pytest.mark.parametrize("read", [read_study, read_studies])
def test_nothing_usable_is_refused_with_what_was_found(tmp_path, prepare, message, read):
    prepare(tmp_path)

    with pytest.raises(NoStudyError, match=message):
        read(tmp_path)


def test_what_does_not_exist_is_refused(tmp_path):
    with pytest.raises(NoStudyError, match="which does not exist"):
        read_study(tmp_path / "nowhere")
    with pytest.raises(NoStudyError, match="got an empty list"):
        read_study([])
    with pytest.raises(NoStudyError, match="list of files that exist"):
        read_study([tmp_path / "nowhere"])


def test_a_spoilt_zip_is_refused(study_folder, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", study_folder))
    archive.write_bytes(archive.read_bytes()[:-30])

    with pytest.raises(NoStudyError, match=r"not a DICOM file|zip must be whole"):
        read_study(archive)


def test_roles_given_always_win(study_folder):
    for key in (f"{ROOT}.1.2", "2", "t2"):
        study = read_study(study_folder, roles={key: Role.SAGITTAL_T1})
        roles = roles_of(study)
        assert roles["2"] is Role.SAGITTAL_T1
        assert roles["1"] is None
        assert "by override" in next(series.why for series in study.series if series.uid.endswith(".2"))
        assert "given to another series by override" in next(
            series.why for series in study.series if series.uid.endswith(".1")
        )


def test_links_to_folders_are_followed_but_not_in_circles(study_folder, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "study").symlink_to(study_folder)
    (study_folder / "circle").symlink_to(study_folder)

    assert roles_of(read_study(tmp_path / "links")) == EXPECTED_ROLES


def test_no_patient_is_named_in_what_is_said(tmp_path):
    """Neither by a header nor by the name of a file or folder."""
    folder = write_study(tmp_path / "SOMEBODY_ELSE_19610203")
    for number, attributes in enumerate(
        (
            {"Modality": "CT"},
            {"Modality": "SOMEBODY"},
            {"SOPClassUID": "1.2.840.19610203"},
            {"SOPClassUID": "SOMEBODY.ELSE"},
            {"RescaleSlope": "1e39"},
        )
    ):
        secret = {"series": 9, "number": number, "PatientName": "Somebody^Else", "PatientID": "phantom"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # (of values that the standard does not allow)
            save(mr_dataset(picture(), **secret, **attributes), folder / f"SOMEBODY {number}")
    whole = (folder / "SOMEBODY 0").read_bytes()
    (folder / "SOMEBODY cut").write_bytes(whole[:600])
    (folder / "SOMEBODY else").write_bytes(whole.replace(b"PN\x0e\0Somebody", b"XX\x0e\0Somebody"))
    (folder / "SOMEBODY syntax").write_bytes(
        whole.replace(b"1.2.840.10008.1.2.1\0", b"SOMEBODY.19610203.1\0")
    )

    study = read_study(tmp_path)

    said = " ".join(
        [*(unused.what + unused.why for unused in study.unused), *study.warnings]
        + [series.why + " ".join(series.problems) for series in study.series]
    ).upper()
    assert len(study.unused) == 8
    for secret in ("SOMEBODY", "ELSE_", "19610203", "PHANTOM"):
        assert secret not in said


def test_a_study_that_is_refused_names_no_file(study_folder, tmp_path):
    (tmp_path / "SOMEBODY.txt").write_text("x")
    shutil.rmtree(study_folder)

    with pytest.raises(NoStudyError, match="1 files without any") as caught:
        read_study(tmp_path)
    assert "SOMEBODY" not in str(caught.value)


def test_text_of_a_header_steers_no_terminal(tmp_path):
    write_series(tmp_path, series=2, SeriesDescription="T2\x1b[31m\x07 sag", **T2)

    (series,) = read_study(tmp_path).series

    assert series.description == "T2\ufffd[31m\ufffd sag"


@pytest.mark.parametrize("read", [read_study, read_studies])
def test_a_study_that_would_take_too_much_memory_is_refused_before_it_is_decoded(study_folder, read):
    with pytest.raises(
        StudyError,
        match=r"study must take at most 19\.5 KiB while it is graded, got \d+ KiB for 15 slices; raise --memory-limit",
    ):
        read(study_folder, memory_limit=20_000)
    read(study_folder, memory_limit=2_000_000)


def test_a_whole_file_beyond_the_limit_is_not_read(study_folder):
    """One that only pydicom can parse, and that would have to be read to its end."""
    path = study_folder / "t1" / "1.dcm"
    path.write_bytes(
        path.read_bytes().replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00XX") + bytes(3_000_000)
    )
    assert (
        "where at most 1.91 MiB are read"
        in reasons(read_study(study_folder, memory_limit=2_000_000))["t1/1.dcm"]
    )
