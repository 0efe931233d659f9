"""Kinds of images: which header or word tells each, and what each is worth for a role."""

from __future__ import annotations

import struct

import pytest
from pydicom.dataset import Dataset
from tests.dicom_files import T1, T2, mr_dataset, picture, reasons, save, write_series

from stenograde.dicom.read.files import StudyFile
from stenograde.dicom.read.frames import Contrast, sequence_of
from stenograde.dicom.read.kinds import Phase, kind_of
from stenograde.dicom.read.opening import frames_of, read_instance
from stenograde.dicom.read.studies import read_study
from stenograde.terms import Role

DIFFUSION = "diffusion or echo planar series"
SPIN = {"sequence": ("SE",), "echo_time_ms": 90.0, "repetition_time_ms": 3500.0}


@pytest.mark.parametrize(
    ("contrast", "description", "never"),
    [
        ({"b_value": 800.0}, "", DIFFUSION),
        ({"sequence": ("SE", "EP")}, "", DIFFUSION),
        ({"said": ("DIFFUSION",)}, "", DIFFUSION),
        (SPIN, "ep2d_diff_b1000", DIFFUSION),
        (SPIN, "DWI TSE sag", DIFFUSION),
        (SPIN, "SAG ADC", DIFFUSION),
        ({"sequence_name": "*ep_b0"}, "", DIFFUSION),
        ({"said": ("PHASE",)}, "", "phase or imaginary image"),
        ({"said": ("T1", "MAX_IP")}, "", "maximum or minimum intensity projection"),
        (SPIN, "T2 MIP COR", "maximum intensity projection"),
        (SPIN, "T1 post SUB", "subtraction"),
        (SPIN, "T2 map sag", "computed map"),
        ({"sequence": ("GR",)}, "", "gradient echo"),
        ({"sequence_name": "*me2d1r3"}, "", "gradient echo"),
        ({"sequence_name": "*fl2d1"}, "", "gradient echo"),
        ({"sequence_name": "EFGRE3D"}, "", "gradient echo"),
        (
            {"echo_time_ms": 5.0, "repetition_time_ms": 200.0, "flip_angle_deg": 30.0},
            "",
            "gradient echo",
        ),
        ({}, "t2_medic_sag", "gradient echo"),
        ({}, "SAG T2* GRE", "gradient echo"),
        ({}, "T1 VIBE DIXON", "gradient echo"),
        ({"sequence_name": "*h2d1_192"}, "", "single-shot series"),
        ({"echo_train": 160, "dimensions": "2D"}, "", "single-shot series"),
        (SPIN, "AX SSFSE", "single-shot series"),
        (SPIN, "t2_haste_tra", "single-shot series"),
        ({**SPIN, "echo_time_ms": 900.0}, "", "MR myelography or another picture of fluid alone"),
        (SPIN, "T2 myelo", "MR myelography"),
        (SPIN, "FAT: SAG T2 IDEAL", "fat image of a Dixon series"),
        (SPIN, "t2_tse_dixon_sag_F", "fat image of a Dixon series"),
        # what only looks like one
        (SPIN, "SAG T2 FATSAT", ""),
        (SPIN, "t2_tse_sag_320", ""),
        (SPIN, "LSPINE SUBACUTE TRAUMA", ""),
        ({**SPIN, "echo_train": 160, "dimensions": "3D"}, "T2 SPACE", ""),
        ({**SPIN, "echo_train": 24, "dimensions": "2D"}, "T2 TSE", ""),
        ({**SPIN, "b_value": 0.0}, "SAG T2", ""),
        ({"sequence": ("SE",), "echo_time_ms": 10.0, "flip_angle_deg": 60.0}, "T1", ""),
    ],
)
def test_kinds_that_never_serve_are_told_by_header_or_word(contrast, description, never):
    assert kind_of(Contrast(**contrast), description).never == never


@pytest.mark.parametrize(
    ("image_type", "description", "phase"),
    [
        (("DERIVED", "PRIMARY", "DIXON", "IN_PHASE"), "", Phase.IN_PHASE),
        (("ORIGINAL", "PRIMARY", "M", "NORM", "DIXON_OPP"), "", Phase.OPPOSED),
        (("ORIGINAL", "PRIMARY", "W", "W", "DERIVED"), "", Phase.WATER),
        (("ORIGINAL", "PRIMARY", "OP", "OP"), "", Phase.OPPOSED),
        (("DERIVED", "PRIMARY", "DIXON", "OUT_OF_PHASE"), "", Phase.OPPOSED),
        ((), "WATER: SAG T2 IDEAL", Phase.WATER),
        ((), "OutPhase: SAG T2 IDEAL", Phase.OPPOSED),
        ((), "InPhase: SAG T2 FLEX", Phase.IN_PHASE),
        ((), "t2_tse_dixon_sag_opp", Phase.OPPOSED),
        ((), "t2_tse_dixon_sag_W", Phase.WATER),
        ((), "t2_tse_sag_W", None),
        (("ORIGINAL", "PRIMARY", "M", "ND"), "SAG T2 INPATIENT", None),
    ],
)
def test_images_of_a_dixon_series_are_told_apart(image_type, description, phase):
    assert kind_of(Contrast(image_type=image_type), description).phase is phase


@pytest.mark.parametrize(
    ("contrast", "description", "expected"),
    [
        ({"options": ("FS",)}, "", True),
        ({"options": ("FAST_GEMS", "FS")}, "", True),
        ({"options": ("PFP", "SFS")}, "", True),
        ({}, "t1_tse_fs_sag", True),
        ({}, "SAG T2 SPAIR", True),
        ({"options": ("FAST_GEMS",)}, "SAG T1 FSE", False),
    ],
)
def test_fat_suppression_is_read_from_options_and_words(contrast, description, expected):
    assert kind_of(Contrast(**contrast), description).is_fat_suppressed is expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("SAG T1 +C", True),
        ("t1_tse_sag_KM", True),
        ("T1 POST GAD", True),
        ("T1 post-op", False),
        ("T1", False),
    ],
)
def test_a_contrast_agent_is_told_by_word(description, expected):
    assert kind_of(Contrast(), description).has_agent is expected


def test_attributes_of_enhanced_mr_become_values_of_scanning_sequence():
    assert sequence_of("SPIN", "YES", "NO") == ("SE", "IR")
    assert sequence_of("GRADIENT", "NO", "YES") == ("GR", "EP")
    assert sequence_of("BOTH", "", "") == ("SE", "GR")
    assert sequence_of("", "", "") == ()


def b_value_of(tmp_path, edit) -> float | None:
    ds = mr_dataset(picture())
    edit(ds)
    path = save(ds, tmp_path / "slice")
    return frames_of(read_instance(StudyFile(str(path), "slice")))[0].contrast.b_value


def private(group: int, creator: str, element: int, vr: str, value: object, maker: str):
    def edit(ds: Dataset) -> None:
        ds.Manufacturer = maker
        ds.private_block(group, creator, create=True).add_new(element, vr, value)

    return edit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda ds: setattr(ds, "DiffusionBValue", 1000.0), 1000.0),
        (lambda ds: setattr(ds, "DiffusionBValue", 0.0), 0.0),
        (private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "800", "SIEMENS"), 800.0),
        (
            private(0x0043, "GEMS_PARM_01", 0x39, "IS", ["1000000500", "8", "0", "0"], "GE MEDICAL SYSTEMS"),
            500.0,
        ),
        (private(0x2001, "Philips Imaging DD 001", 0x03, "FL", 600.0, "Philips"), 600.0),
        (private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "800", "Synthetic"), None),
        (lambda ds: None, None),
    ],
)
def test_diffusion_is_read_where_makers_write_it(tmp_path, edit, expected):
    assert b_value_of(tmp_path, edit) == expected


@pytest.mark.parametrize("own_uid", [False, True])
def test_all_images_of_a_diffusion_series_are_left_out_though_not_echo_planar(tmp_path, own_uid):
    for number, b in enumerate((0.0, 800.0)):
        series = 5 + number * own_uid
        for path in write_series(
            tmp_path / f"{number}", series=series, DiffusionBValue=b, **{**T2, "EchoTime": 80}
        ):
            if not own_uid:
                _rename(path, number)
    write_series(tmp_path / "t1", series=1, **T1)

    study = read_study(tmp_path)

    assert [series.role for series in study.series] == [Role.SAGITTAL_T1]
    found = [why for what, why in reasons(study).items() if what.startswith("series")]
    assert found == ["diffusion or echo planar series, which serves for no role (5 slices)"] * 2


def _rename(path, number: int) -> None:
    from pydicom import dcmread

    ds = dcmread(path)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.{number}"
    ds.save_as(path)


def test_a_b_value_of_zero_alone_is_no_diffusion(tmp_path):
    write_series(tmp_path, DiffusionBValue=0.0, **T2)

    assert read_study(tmp_path).by_role(Role.SAGITTAL_T2_STIR) is not None


def test_a_b_value_of_eight_bytes_that_are_text_is_read_as_text():
    from stenograde.dicom.read.frames import _floating
    from stenograde.dicom.read.instances import Instance

    for raw, expected in ((b"1000.000", 1000.0), (struct.pack("<d", 50.0), 50.0), (b"\xff" * 8, None)):
        instance = Instance(StudyFile("x", "x"), {"DiffusionBValue": raw}, False, None, False, ())
        assert _floating(instance, "DiffusionBValue", "d") == expected
