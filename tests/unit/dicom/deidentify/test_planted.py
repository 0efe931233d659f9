"""What was planted, in every attribute that holds text, dates or bytes, is nowhere in what comes out."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config, dcmread, dcmwrite
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from tests.dicom_files import mr_dataset, picture

from stenograde.dicom.deidentify.folder import Request, deidentify
from stenograde.dicom.deidentify.profile import Options, profile
from stenograde.dicom.deidentify.values import has_form, known_words

KEY = b"a key of the tests"
TEXT = frozenset({"LO", "SH", "ST", "LT", "UC", "UT", "UR", "PN", "AE", "CS"})
BYTES = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "UN", "OB or OW"})
WITHOUT_PIXELS = [tag for tag in DicomDictionary if tag >> 16 not in {0, 2} and tag < 0xFFFA0000]
OTHERS = Options(modified_dates=True, clean_descriptors=True, patient_characteristics=True, safe_private=True)


class Planter:
    """Puts a value that is nowhere else into each attribute, and remembers it."""

    def __init__(self) -> None:
        self.planted: list[bytes] = []

    def text(self) -> str:
        self.planted.append(f"zq{len(self.planted):07d}w".encode())
        return self.planted[-1].decode()

    def value(self, vr: str) -> object:
        if vr in TEXT:
            return self.text()
        if vr == "UI":
            self.planted.append(f"1.2.77.{len(self.planted)}.990077".encode())
            return self.planted[-1].decode()
        if vr in {"DA", "DT"}:
            day = date(1801, 1, 1) + timedelta(days=len(self.planted))
            self.planted.append(f"{day:%Y%m%d}".encode())
            return self.planted[-1].decode() + ("101112" if vr == "DT" else "")
        return self.text().encode() + b"e" if vr in BYTES else None

    def fill(self, ds: Dataset) -> None:
        for tag in WITHOUT_PIXELS:
            vr = DicomDictionary[tag][0]
            value = None if tag in ds else self.value(vr)
            if value is not None and tag not in (0x00080005,):
                ds[tag] = DataElement(tag, "OB" if vr == "OB or OW" else vr, value)
        for group, creator in ((0x0019, "SIEMENS MR HEADER"), (0x0029, self.text())):
            ds[group << 16 | 0x10] = DataElement(group << 16 | 0x10, "LO", creator)
            for offset, vr in enumerate(("LO", "UN", "OB", "UT", "PN", "CS"), start=0x0A):
                ds[group << 16 | 0x1000 | offset] = DataElement(
                    group << 16 | 0x1000 | offset, vr, self.value(vr)
                )


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.IGNORE)


def written(ds: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian, **meta: object) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    for keyword, value in meta.items():
        setattr(ds.file_meta, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    ds.preamble = b"zqpreamble".ljust(128, b"p")
    with path.open("wb") as file:
        dcmwrite(file, ds, enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    return path


def out_of(tmp_path: Path, options: Options = OTHERS, **request: object) -> tuple[list[Path], object]:
    done = deidentify(tmp_path / "in", tmp_path / "out", Request(options, KEY, **request), lambda _: None)
    return sorted((tmp_path / "out").rglob("*.dcm")), done


@pytest.mark.parametrize("options", [Options(), OTHERS])
@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_nothing_planted_is_in_any_byte_of_what_comes_out(
    tmp_path: Path, options: Options, syntax: str
) -> None:
    planter = Planter()
    ds = mr_dataset(picture())
    original = ds.PixelData
    inner, outer = Dataset(), Dataset()
    planter.fill(inner)
    outer.RelatedSeriesSequence = [inner]
    planter.fill(outer)
    ds.MRDiffusionSequence = [outer]
    del ds.PatientID
    planter.fill(ds)
    folder, name = planter.text(), planter.text()
    meta = {"SourceApplicationEntityTitle": planter.text(), "ImplementationVersionName": planter.text()}
    path = tmp_path / "in" / folder / f"{name}.dcm"
    written(
        ds, path, syntax, **meta, PrivateInformationCreatorUID="1.2.3.4", PrivateInformation=b"zqprivate0"
    )
    assert (
        syntax == DeflatedExplicitVRLittleEndian
        or sum(one in path.read_bytes() for one in planter.planted) > 4000
    )

    (made,), done = out_of(tmp_path, options)
    if options.modified_dates:  # moved dates are others that were planted
        planter.planted = [one for one in planter.planted if not one.isdigit()]

    plain = dcmread(made)
    assert plain.file_meta.TransferSyntaxUID == syntax
    assert plain.PixelData == original
    inflated = b"".join(str(element).encode() for element in plain.iterall())
    for data in (
        made.read_bytes(),
        inflated,
        str(made.relative_to(tmp_path)).encode(),
        done.as_json().encode(),
    ):
        assert [one for one in (*planter.planted, b"zqpreamble", b"zqprivate0") if one in data] == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(codec="utf-8", exclude_characters="\x00\\"), min_size=1, max_size=60),
    keyword=st.sampled_from(
        ["SeriesDescription", "Manufacturer", "ProtocolName", "SequenceName", "SoftwareVersions"]
    ),
)
def test_of_a_text_only_known_words_stay(tmp_path_factory, text: str, keyword: str) -> None:
    tmp_path = tmp_path_factory.mktemp("one")
    ds = mr_dataset(picture(), SpecificCharacterSet="ISO_IR 192", **{keyword: text})
    written(ds, tmp_path / "in" / "a.dcm")
    (made,), _ = out_of(tmp_path)
    left = str(dcmread(made).get(keyword, ""))
    assert left in {"", "REMOVED"} or {word.lower() for word in left.split()} <= profile().words


def test_known_words_are_no_long_numbers() -> None:
    assert not [word for word in profile().words if sum(letter.isdigit() for letter in word) > 1]
    assert known_words("Müller Sag T2 1962-03-04") == "Sag T2"


@pytest.mark.parametrize(
    ("vr", "value", "fits"),
    [
        ("CS", "A_B 1", True),
        ("CS", "a", False),
        ("IS", "12", True),
        ("IS", "1.5", False),
        ("LO", "T2", False),
    ],
)
def test_has_form(vr: str, value: str, fits: bool) -> None:
    assert has_form(vr, value) is fits
