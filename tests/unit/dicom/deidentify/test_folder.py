"""UIDs and patients stay consistent, what cannot be cleaned is refused and told, and the result is whole or absent."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, uid
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from tests.dicom_files import STUDY, mr_dataset, picture

from stenograde.cli import main
from stenograde.dicom.deidentify.folder import REPORT
from stenograde.dicom.deidentify.profile import Action, Options, profile
from stenograde.dicom.deidentify.pseudonyms import Pseudonyms, shifted
from stenograde.dicom.deidentify.refusals import area_of
from stenograde.errors import ConfigError


def write(folder: Path, name: str = "a", **attributes: object) -> Dataset:
    ds = mr_dataset(picture(), number=attributes.pop("number", 1))
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    folder.mkdir(parents=True, exist_ok=True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    return ds


def run(tmp_path: Path, *options: str, out: str = "out") -> int:
    return main(["deidentify", str(tmp_path / "in"), str(tmp_path / out), *options])


def made(tmp_path: Path, out: str = "out") -> list[Dataset]:
    found = [dcmread(path) for path in (tmp_path / out).rglob("*.dcm")]
    return sorted(found, key=lambda ds: int(ds.InstanceNumber))


def test_references_follow_their_instances_and_a_key_makes_runs_agree(tmp_path: Path) -> None:
    first = write(tmp_path / "in", "a", number=1)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = first.SOPClassUID, first.SOPInstanceUID
    write(tmp_path / "in", "b", number=2, SourceImageSequence=[item])
    key = ("--key", str(tmp_path / "key"))
    assert run(tmp_path, *key) == run(tmp_path, *key, out="again") == run(tmp_path, out="other") == 0

    one, two = made(tmp_path)
    assert (
        two.SourceImageSequence[0].ReferencedSOPInstanceUID
        == one.SOPInstanceUID
        == one.file_meta[0x00020003].value
    )
    assert two.SourceImageSequence[0].ReferencedSOPClassUID == first.SOPClassUID
    assert one.StudyInstanceUID == two.StudyInstanceUID != STUDY
    assert one.PatientID == two.PatientID != "phantom"
    assert [ds.SOPInstanceUID for ds in made(tmp_path, "again")] == [one.SOPInstanceUID, two.SOPInstanceUID]
    assert made(tmp_path, "other")[0].SOPInstanceUID != one.SOPInstanceUID
    assert made(tmp_path, "other")[0].PatientID != one.PatientID
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert all(uid.UID(ds.SOPInstanceUID).is_valid for ds in (one, two))


def test_what_was_done_is_said_with_the_codes_of_the_standard(tmp_path: Path) -> None:
    write(
        tmp_path / "in",
        PatientSex="F",
        PatientAge="093Y",
        AcquisitionDate="20240301",
        PatientBirthDate="19310203",
    )
    options = (
        *("--modified-dates", "--retain-patient-characteristics", "--retain-device-identity"),
        *("--retain-safe-private", "--retain-uids"),
    )
    assert run(tmp_path, *options) == 0
    (ds,) = made(tmp_path)
    assert (ds.PatientIdentityRemoved, ds.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    known = {code.value: code.meaning for code in codes.cid7050.concepts.values()}
    said = {item.CodeValue: item.CodeMeaning for item in ds.DeidentificationMethodCodeSequence}
    assert said.items() <= known.items()
    assert set(said) == {"113100", "113105", "113107", "113108", "113109", "113110", "113111"}
    assert (ds.PatientSex, ds.PatientAge, ds.PatientBirthDate) == ("F", "090Y", "")
    assert ds.AcquisitionDate != "20240301"
    assert ds.StudyInstanceUID == STUDY


def test_dates_of_a_patient_keep_their_distance(tmp_path: Path) -> None:
    for number, day in ((1, "20240228"), (2, "20240301")):
        write(tmp_path / "in", str(number), number=number, AcquisitionDate=day, AcquisitionTime="101112.5")
    assert run(tmp_path, "--modified-dates") == 0
    first, second = (
        np.datetime64(f"{ds.AcquisitionDate[:4]}-{ds.AcquisitionDate[4:6]}-{ds.AcquisitionDate[6:]}")
        for ds in made(tmp_path)
    )
    assert second - first == np.timedelta64(2, "D")
    assert made(tmp_path)[0].AcquisitionTime == "101112.5"


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"SOPClassUID": uid.EncapsulatedPDFStorage}, "Encapsulated PDF Storage"),
        ({"SOPClassUID": uid.Comprehensive3DSRStorage}, "Comprehensive 3D SR Storage"),
        ({"SOPClassUID": "1.2.3.4"}, "private SOP class"),
        ({"SOPClassUID": uid.SecondaryCaptureImageStorage}, "--blank"),
        ({"BurnedInAnnotation": "YES"}, "burned into"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "picture of a screen"),
        ({"Rows": 2}, "the rest may be text"),
    ],
)
def test_what_may_show_or_hold_text_is_refused_and_told(tmp_path: Path, capsys, attributes, why: str) -> None:
    write(tmp_path / "in", "a", number=1)
    write(tmp_path / "in", "b", number=2, **attributes)
    (tmp_path / "in" / "DICOMDIR.txt").write_text("Jane Doe")
    assert run(tmp_path) == 2
    said = capsys.readouterr().err
    report = json.loads((tmp_path / "out" / REPORT).read_text())
    assert len(made(tmp_path)) == report["written"] == 1
    assert report["files"] == 3
    assert any(why in one["why"] for one in report["refused"])
    assert any("not a DICOM file" in one["why"] for one in report["refused"])
    assert said.count("is not copied") == len(report["refused"]) == 2


def test_burned_in_text_is_blanked_where_asked_and_nothing_else_is(tmp_path: Path) -> None:
    before = write(tmp_path / "in", "a", number=1, BurnedInAnnotation="YES").pixel_array
    plain = write(tmp_path / "in", "b", number=2).pixel_array
    assert run(tmp_path, "--blank", "0-3x2-5") == 0
    shown, other = made(tmp_path)
    expected = before.copy()
    expected[0:4, 2:6] = 0
    np.testing.assert_array_equal(shown.pixel_array, expected)
    np.testing.assert_array_equal(other.pixel_array, plain)
    assert shown.BurnedInAnnotation == "NO"
    assert "113101" in {item.CodeValue for item in shown.DeidentificationMethodCodeSequence}
    assert "113101" not in {item.CodeValue for item in other.DeidentificationMethodCodeSequence}


@pytest.mark.parametrize("text", ["", "1-2", "3-1x0-4", "0-1x5-2", "ax3", "0-1x0-2x3"])
def test_an_area_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--blank must be"):
        area_of(text)


def test_nothing_is_written_over_or_half(tmp_path: Path, capsys) -> None:
    write(tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("mine")
    assert run(tmp_path, out="full") == run(tmp_path, out="in") == run(tmp_path, out="in/below") == 2
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["kept"]
    (tmp_path / "in" / "a.dcm").write_bytes(b"no DICOM")
    assert run(tmp_path) == 2
    assert "one file at least" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "in"]


def test_a_repeated_instance_is_told(tmp_path: Path, capsys) -> None:
    write(tmp_path / "in", "a")
    write(tmp_path / "in", "b")
    assert run(tmp_path) == 2
    assert "file 2 of 2 is not copied: repeats the SOPInstanceUID" in capsys.readouterr().err


def test_codes_that_no_table_knows_go_and_meanings_are_those_of_the_standard(tmp_path: Path) -> None:
    item, local = Dataset(), Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113100", "DCM", "Jane Doe"
    local.CodeValue, local.CodingSchemeDesignator, local.CodeMeaning = "DOE1", "99LOCAL", "Jane Doe"
    write(tmp_path / "in", AnatomicRegionSequence=[item, local], ViewCodeSequence=[local])
    assert run(tmp_path) == 0
    (ds,) = made(tmp_path)
    assert [one.CodeMeaning for one in ds.AnatomicRegionSequence] == [
        "Basic Application Confidentiality Profile"
    ]
    assert "ViewCodeSequence" not in ds


def test_the_table_says_of_well_known_attributes_what_the_standard_says() -> None:
    """PS3.15, Table E.1-1."""
    expected = {
        0x00100010: Action.EMPTY,
        0x00100030: Action.EMPTY,
        0x00101010: Action.REMOVE,
        0x00080018: Action.UID,
        0x00080050: Action.EMPTY,
        0x00080080: Action.DUMMY,
        0x00081030: Action.REMOVE,
        0x00081140: None,
        0x00400244: Action.REMOVE,
    }
    assert {tag: profile().actions[tag] for tag in expected} == expected
    assert len(profile().actions) > 600
    assert Options().codes == (("113100", "Basic Application Confidentiality Profile"),)


def test_pseudonyms_and_shifts() -> None:
    one, other = Pseudonyms(b"k" * 16), Pseudonyms(b"l" * 16)
    assert one.uid(uid.MRImageStorage) == uid.MRImageStorage
    assert one.uid("1.2.840.10008.99.4711") != "1.2.840.10008.99.4711"
    assert one.uid("1.2.3") != other.uid("1.2.3") != "1.2.3"
    assert 1 <= one.shift_days("a") <= 3650
    assert shifted("20240230", 1) is None


def test_a_key_that_is_too_short_is_refused(tmp_path: Path, capsys) -> None:
    write(tmp_path / "in")
    (tmp_path / "key").write_text("short")
    assert run(tmp_path, "--key", str(tmp_path / "key")) == 2
    assert "--key must hold 16 to 4096 bytes" in capsys.readouterr().err


def dciodvfy_errors(path: Path) -> list[str]:
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
@pytest.mark.parametrize("options", [(), ("--modified-dates", "--retain-patient-characteristics")])
def test_a_phantom_has_no_error_of_dciodvfy(phantom_study: Path, tmp_path: Path, options) -> None:
    assert main(["deidentify", str(phantom_study), str(tmp_path / "out"), *options]) == 0
    series = sorted((tmp_path / "out").glob("*/*/"))
    assert len(series) == 3
    assert [dciodvfy_errors(min(one.iterdir())) for one in series] == [[], [], []]


def without_uids(folder: Path, uids: dict[str, str]) -> dict[str, object]:
    text = (folder / "grades.json").read_text()
    for old, new in uids.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    document = json.loads(text)
    document.pop("seconds")
    return document


def test_a_deidentified_phantom_is_graded_the_same(phantom_study: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    assert main(["deidentify", str(phantom_study), str(tmp_path / "out"), "--key", str(key)]) == 0
    assert main(["grade", str(phantom_study), "--out", str(tmp_path / "before")]) == 0
    assert (
        main(["grade", str(next((tmp_path / "out").glob("2.25.*"))), "--out", str(tmp_path / "after")]) == 0
    )
    pseudonyms = Pseudonyms(key.read_bytes().strip())
    uids = {}
    for path in phantom_study.rglob("*.dcm"):
        ds = dcmread(path, stop_before_pixels=True)
        uids |= {
            one: pseudonyms.uid(one) for one in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
        }
    assert without_uids(tmp_path / "before", uids) == without_uids(tmp_path / "after", {})


@pytest.mark.data
def test_the_real_study_keeps_every_pixel(development_data: Path, tmp_path: Path) -> None:
    source = development_data / "rsna2024_study" / "train_images"
    assert main(["deidentify", str(source), str(tmp_path / "out"), "--key", str(tmp_path / "key")]) == 0
    pseudonyms = Pseudonyms((tmp_path / "key").read_bytes().strip())
    paths = sorted(source.rglob("*.dcm"))
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == len(paths) == 96
    for path in paths[::8]:
        ds = dcmread(path)
        uids = (ds.StudyInstanceUID, ds.SeriesInstanceUID, f"{pseudonyms.uid(ds.SOPInstanceUID)}.dcm")
        after = dcmread(tmp_path / "out" / pseudonyms.uid(uids[0]) / pseudonyms.uid(uids[1]) / uids[2])
        assert after.PixelData == ds.PixelData
        assert after.ImagePositionPatient == ds.ImagePositionPatient
        assert after.PatientID != ds.PatientID
