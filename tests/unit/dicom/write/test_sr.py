"""The structured report says what grades.json says, in the tree of TID 1500, and independent tools find no error."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import highdicom as hd
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr._concepts_dict import concepts as tables
from tests.golden.report.example import STUDY_UID, example_grades
from tests.sr_tree import (
    SHARES,
    SHORT,
    STATUSES,
    WORDINGS,
    YES_NO,
    code_of_cell,
    codes_in,
    groups_of,
    items,
    name_of,
    numbers_in,
    said_in,
    strays,
    whole_in,
)
from tests.written_objects import FRAME, PATIENT, dciodvfy, dsrdump, pixelmed, sources_for

from stenograde import concepts
from stenograde.dicom.write.series import Edition, as_file
from stenograde.dicom.write.sources import Sources
from stenograde.dicom.write.sr import not_graded_report, structured_report
from stenograde.errors import UnreadableInstanceError
from stenograde.grades import (
    CellGrade,
    DiscFindings,
    Evidence,
    LevelPosition,
    Probabilities,
    Status,
    StudyGrades,
)
from stenograde.report.as_json import as_json
from stenograde.terms import LUMBAR_MRI, Condition, Level, Severity

MADE_AT = datetime(2026, 5, 6, 7, 8, 9)
REASON = "the network has seen phantoms only – naïve, 5 mm²"


def grades() -> StudyGrades:
    """Grades with a cell of every status, a level that is not imaged and one whose name is in doubt."""
    example = example_grades()
    cells = list(example.cells)
    shares, place = Probabilities((0.2, 0.3, 0.5)), cells[5].point
    for number, (status, probabilities) in enumerate(
        [
            (Status.DRAFT, shares),
            (Status.ABSTAINED, shares),
            (Status.NOT_IMAGED, None),
            (Status.GRADED, shares),
        ],
        start=5,
    ):
        reason = REASON if status is not Status.GRADED else "from the axial series alone"
        cells[number] = CellGrade(cells[number].cell, status, reason, probabilities, place)
    levels = list(example.levels)
    levels[0] = LevelPosition(Level.L1_L2, None, imaged=False, certain=True)
    levels[4] = replace(levels[4], certain=False)
    return replace(example, cells=tuple(cells), levels=tuple(levels))


def written(ds: Dataset, folder: Path) -> Path:
    path = folder / "sr.dcm"
    path.write_bytes(as_file(ds))
    return path


def edition(sources: Sources, given: StudyGrades) -> Edition:
    return Edition.of(sources, given.bundle, MADE_AT)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return sources_for(grades(), tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def path(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = grades()
    return written(
        structured_report(given, sources, edition(sources, given)), tmp_path_factory.mktemp("written")
    )


@pytest.fixture(scope="module")
def report(path: Path) -> Dataset:
    return hd.sr.srread(path)


def test_tools_find_no_error(path: Path) -> None:
    assert dciodvfy(path) == []
    assert dsrdump(path) == []


@pytest.mark.slow
def test_tree_is_that_of_tid_1500_as_another_program_holds_it(path: Path, tmp_path: Path) -> None:
    ds = dcmread(path)
    numbers = [item for item in items(ds) if item.ValueType == "NUM" and "ContentSequence" in item]
    pixels = next(one for one in numbers if one.ContentSequence[0].ValueType == "SCOORD")
    point = next(one for one in numbers if one.ContentSequence[0].ValueType == "SCOORD3D")
    pixels.ContentSequence.append(point.ContentSequence[0])  # (TID 320: pixels or points, not both)
    errors, unknown = pixelmed(written(ds, tmp_path))
    assert [line[:66] for line in errors] == [
        "Error: Template 320 ImageOrSpatialCoordinates/[Row 3] SCOORD *: wi",
        "Error: Template 320 ImageOrSpatialCoordinates/[Row 6] SCOORD3D *: ",
    ]
    # TID 1501 may be extended; it is, by what is said of a level
    place = '/CONTAINER (125007,DCM,"Measurement Group")/'
    assert unknown
    assert [line for line in unknown if f"{place}CODE (" not in line and f"{place}TEXT (" not in line] == []


def test_tree_is_that_of_the_template(report: Dataset) -> None:
    assert list(strays(report)) == []
    template = report.ContentTemplateSequence[0]
    assert (template.TemplateIdentifier, template.MappingResource) == ("1500", "DCMR")
    groups = [item for item in items(report) if name_of(item) == ("125007", "DCM")]
    assert {group.ContentTemplateSequence[0].TemplateIdentifier for group in groups} == {"1501"}
    assert isinstance(report.content, hd.sr.MeasurementReport)
    assert len(report.content.get_image_measurement_groups()) == 5


def test_a_tree_that_is_not_the_templates_is_found_out(path: Path) -> None:
    ds = dcmread(path)
    ds.ContentSequence[0].RelationshipType = "CONTAINS"
    assert list(strays(ds)) == [
        "root: CONTAINS CODE ('121049', 'DCM')",
        "root: CODE ('121049', 'DCM') is there 0 times",
    ]


def test_every_value_equals_that_of_grades_json(report: Dataset) -> None:
    document, groups = as_json(grades()), groups_of(report)
    names = dict(concepts._QUANTITIES)
    expected: dict[str, dict[str, tuple[float, str]]] = {level: {} for level in groups}
    for one in document["measurements"]:
        unit = {"mm²": "mm2"}.get(one["unit"], one["unit"])
        expected[one["level"]][names[one["name"]]] = one["value"], unit
    for cell in document["cells"]:
        if cell["status"] == "graded":
            for severity, share in cell["probability"].items():
                expected[cell["level"]][f"P-{code_of_cell(cell)}-{SHARES[severity]}"] = share, "1"
    for disc in document["discs"]["levels"]:
        at = expected[disc["level"]]
        at |= {f"P-D-{name.upper()}": (one["probability"], "1") for name, one in disc["findings"].items()}
        shares = (disc["pfirrmann"] or {"probability": {}})["probability"]
        at |= {f"P-PFG-{grade}": (share, "1") for grade, share in shares.items()}
    assert list(groups) == [level["name"] for level in document["levels"]]
    assert {level: numbers_in(group) for level, group in groups.items()} == expected


def test_what_is_said_equals_the_wording_of_grades_json(report: Dataset) -> None:
    document, groups = as_json(grades()), groups_of(report)
    for cell in document["cells"]:
        said = said_in(groups[cell["level"]])[code_of_cell(cell)]
        assert said == (WORDINGS[cell["wording"]] if cell["wording"] else STATUSES[cell["status"]])
        texts = said_in(groups[cell["level"]], "TEXT").get(code_of_cell(cell), [])
        assert len(texts) == bool(cell["reason"])
    for level in document["levels"]:
        said = said_in(groups[level["name"]])
        assert said["LEVEL-IMAGED"] == YES_NO[level["imaged"]]
        assert said["LEVEL-CERTAIN"] == YES_NO[level["certain"]]
    for disc in document["discs"]["levels"]:
        said = said_in(groups[disc["level"]])
        if disc["status"] != "graded":
            assert said["DISC"] == STATUSES[disc["status"]]
            continue
        words = {"Yes": YES_NO[True], "No": YES_NO[False], "Uncertain": WORDINGS["Uncertain"]}
        assert said["D-NARROWING"] == words[disc["findings"]["narrowing"]["wording"]]
        grade = disc["pfirrmann"]["wording"]
        told = f"PFG-{grade.replace(' or ', '-')}"
        assert said["PFG"] == (WORDINGS["Uncertain"] if grade.startswith("About") else told)


def test_reasons_are_told_in_ascii_and_second_opinions_say_that_they_disagree(report: Dataset) -> None:
    texts = said_in(groups_of(report)["L1/L2"], "TEXT")
    assert texts["NFN-L"] == ["the network has seen phantoms only - naive, 5 mm2"]
    assert said_in(groups_of(report)["L4/L5"])["SCS-2"] == WORDINGS["Normal/Mild"]
    assert said_in(groups_of(report)["L4/L5"], "TEXT")["SCS-2"] == ["disagrees: 1.4 severities milder"]
    assert "SCS-2" not in said_in(groups_of(report)["L3/L4"], "TEXT")


def test_a_draft_leaves_no_number_and_the_report_says_so(report: Dataset) -> None:
    (draft,) = [grade for grade in grades().cells if grade.status is Status.DRAFT]
    group = groups_of(report)[draft.cell.level.shown]
    assert said_in(group)["NFN-L"] == "LEFT-OUT"
    assert not [name for name in numbers_in(group) if "NFN-L" in name]
    assert said_in(whole_in(report), "TEXT")["DRAFTS"] == [
        "1 of 25 cells have drafts, which are not in this report"
    ]
    assert said_in(whole_in(report))["OUTCOME"] == "STUDY-GRADED"
    assert said_in(whole_in(report), "TEXT")["WARNING"] == list(grades().warnings)
    assert "not a medical device" in said_in(whole_in(report), "TEXT")["INTENDED-USE"][0]


def test_every_code_is_in_the_tables_of_pydicom_or_in_our_own_scheme(report: Dataset) -> None:
    structural = {("260753009", "SCT", "Source")}  # (of highdicom, and of the tables: see below)
    known = {(one.value, one.scheme, one.meaning) for one in concepts.every_concept()} | structural
    of_templates = {code for code in codes_in(report) - known if code[1] in tables}
    assert codes_in(report) <= known | of_templates
    for value, scheme, meaning in known | of_templates:
        if scheme in tables and value != concepts.QUALITATIVE_EVALUATIONS.value:
            meanings = {
                text.lower().partition(" (")[0]  # (without the tag of a fully specified name)
                for names in tables[scheme].values()
                for code, (text, _) in names.items()
                if code == value
            }
            assert meaning.lower() in meanings, (value, scheme, meaning, meanings)
        else:
            assert scheme == concepts.SCHEME or (value, scheme) in {("C0034375", "UMLS"), ("en", "RFC5646")}


def test_codes_of_our_own_fit_and_mean_one_thing_and_are_on_their_page() -> None:
    page = (Path(__file__).parents[4] / "docs/dicom-codes.md").read_text("utf-8")
    every = set(concepts.every_concept())
    own = {one for one in every if one.scheme == concepts.SCHEME}
    assert len({one.value for one in own}) == len(own) == len({one.meaning for one in own})
    for one in every:
        assert len(one.value) <= 16
        assert len(one.meaning) <= 64
    for one in own:
        assert f"| `{one.value}` | {one.meaning} |" in page
    for one in every - own:
        assert f"| `{one.value}` | {one.scheme} | {one.meaning} |" in page


def test_normal_mild_is_never_told_as_normal_or_mild(report: Dataset) -> None:
    said = {code[0] for code in codes_in(report)} | {one.value for one in concepts.every_concept()}
    assert said.isdisjoint({"17621005", "255604002", "371923003"})
    assert concepts.said_code((Severity.NORMAL_MILD,)).scheme == concepts.SCHEME


def test_points_lie_in_the_frame_of_reference_and_pixels_on_their_images(report: Dataset) -> None:
    given = grades()
    cell = given.cells[3]
    name = f"P-{SHORT[cell.cell.condition]}"
    numbers = {name_of(one)[0]: one for one in groups_of(report)["L4/L5"].ContentSequence}
    for other in ("NM", "MOD"):
        (point,) = numbers[f"{name}-{other}"].ContentSequence
        assert point.ReferencedFrameOfReferenceUID == FRAME
        assert point.GraphicData == pytest.approx([round(one, 3) for one in cell.point or ()], abs=1e-4)
    for pixel, evidence in zip(numbers[f"{name}-SEV"].ContentSequence, cell.evidence, strict=True):
        assert pixel.GraphicData == pytest.approx([evidence.column + 0.5, evidence.row + 0.5], abs=1e-3)
        (image,) = pixel.ContentSequence[0].ReferencedSOPSequence
        assert image.ReferencedSOPInstanceUID == evidence.sop_instance_uid
        assert "ReferencedFrameNumber" not in image


def test_a_level_has_one_pixel_of_its_own_and_those_that_have_one_come_first(tmp_path: Path) -> None:
    given = grades()
    cells = [
        replace(cell, evidence=()) if cell.cell.level in {Level.L1_L2, Level.L3_L4} else cell
        for cell in given.cells
    ]
    seen = Evidence(given.series[0].uid, "2.25.7", row=7.25, column=3.0)
    discs = (DiscFindings(Level.L3_L4, Status.ABSTAINED, "in doubt", evidence=(seen,)),)
    given = replace(given, cells=tuple(cells), discs=discs)
    sources = sources_for(given, tmp_path)
    groups = groups_of(structured_report(given, sources, edition(sources, given)))
    assert list(groups) == ["L2/L3", "L3/L4", "L4/L5", "L5/S1", "L1/L2"]
    pixels = {
        level: [item for item in group.ContentSequence if name_of(item) == ("111010", "DCM")]
        for level, group in groups.items()
    }
    assert {level: len(found) for level, found in pixels.items()} == dict.fromkeys(groups, 1) | {"L1/L2": 0}
    canal = given.of(next(cell for cell in LUMBAR_MRI.at(Level.L4_L5)))
    assert canal.cell.condition is Condition.SPINAL_CANAL_STENOSIS
    for level, evidence in {"L3/L4": seen, "L4/L5": canal.evidence[0]}.items():
        (pixel,) = pixels[level]
        assert pixel.GraphicType == "POINT"
        assert pixel.GraphicData == pytest.approx([evidence.column + 0.5, evidence.row + 0.5], abs=1e-3)
        (image,) = pixel.ContentSequence[0].ReferencedSOPSequence
        assert image.ReferencedSOPInstanceUID == evidence.sop_instance_uid


def test_evidence_lists_every_source_by_series(report: Dataset, sources: Sources) -> None:
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    listed = {
        (series.SeriesInstanceUID, one.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert study.StudyInstanceUID == STUDY_UID
    assert listed == {(one.series_uid, one.sop_instance_uid) for one in sources.instances}


def test_frames_are_named_of_multi_frame_sources(tmp_path: Path) -> None:
    given = grades()
    (tmp_path / "sources").mkdir()
    cells = list(given.cells)
    evidence = tuple(replace(one, frame=2) for one in cells[3].evidence)
    cells[3] = replace(cells[3], evidence=evidence)
    given = replace(given, cells=tuple(cells))
    sources = sources_for(given, tmp_path / "sources", frames=4)
    path = written(structured_report(given, sources, edition(sources, given)), tmp_path)

    assert dciodvfy(path) == []
    assert dsrdump(path) == []
    images = [item.ReferencedSOPSequence[0] for item in items(dcmread(path)) if item.ValueType == "IMAGE"]
    frames = {image.ReferencedFrameNumber for image in images}
    assert frames == {1, 3}
    assert {image.ReferencedSOPClassUID for image in images} == {"1.2.840.10008.5.1.4.1.1.4.1"}


def test_without_a_frame_of_reference_pixels_alone_are_told(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    given = grades()
    sources = sources_for(
        given, tmp_path / "sources", FrameOfReferenceUID=None, PositionReferenceIndicator=None
    )
    path = written(structured_report(given, sources, edition(sources, given)), tmp_path)
    types = {item.ValueType for item in items(dcmread(path))}
    assert "SCOORD3D" not in types
    assert "SCOORD" in types
    assert dciodvfy(path) == []


def test_patient_and_study_are_the_sources_own(report: Dataset) -> None:
    told = (report.PatientName, report.PatientID, report.PatientBirthDate, report.AccessionNumber)
    assert told == PATIENT
    assert report.StudyInstanceUID == STUDY_UID
    assert report.SeriesInstanceUID not in {"2.25.101", "2.25.102", "2.25.103"}
    assert (report.Modality, report.SeriesNumber, report.Manufacturer) == ("SR", 9101, "stenograde")
    assert (report.ContentDate, report.ContentTime) == ("20260506", "070809")
    assert "FrameOfReferenceUID" not in report


def test_algorithm_and_device_name_version_and_hash(report: Dataset) -> None:
    given = grades()
    texts = [
        item.TextValue for item in groups_of(report)["L4/L5"].ContentSequence if item.ValueType == "TEXT"
    ]
    assert {
        f"bundle lumbar-1 {given.bundle.version}",
        f"bundle hash {given.bundle.hash}",
        "stenograde",
    } <= set(texts)
    root = {name_of(item)[0]: item for item in report.ContentSequence}
    assert root["121005"].ConceptCodeSequence[0].CodeMeaning == "Device"
    assert root["121016"].TextValue == given.bundle.hash
    assert report.DeviceSerialNumber == given.bundle.hash


def test_nobody_has_verified_it(report: Dataset) -> None:
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in report


def test_a_study_that_is_not_graded_says_why(sources: Sources, tmp_path: Path) -> None:
    path = written(
        not_graded_report("there is no sagittal series", sources, edition(sources, grades())), tmp_path
    )
    ds = dcmread(path)
    assert said_in(whole_in(ds))["OUTCOME"] == "STUDY-NOT-GRADED"
    assert said_in(whole_in(ds), "TEXT")["OUTCOME"] == ["there is no sagittal series"]
    assert groups_of(ds) == {}
    assert list(strays(ds)) == []
    assert dciodvfy(path) == []
    assert dsrdump(path) == []


def test_a_second_run_gives_the_same_bytes(path: Path, sources: Sources) -> None:
    given = grades()
    assert as_file(structured_report(given, sources, edition(sources, given))) == path.read_bytes()


def test_evidence_on_an_instance_that_was_not_read_is_refused(sources: Sources) -> None:
    given = grades()
    cells = list(given.cells)
    cells[3] = replace(cells[3], evidence=(Evidence("2.25.101", "2.25.999", 1, 1),))
    with pytest.raises(UnreadableInstanceError, match=r"^instance must be one .* read from, got 2\.25\.999"):
        structured_report(replace(given, cells=tuple(cells)), sources, edition(sources, given))


def test_nothing_of_the_patient_is_logged(sources: Sources, caplog: pytest.LogCaptureFixture) -> None:
    given = grades()
    with caplog.at_level(logging.DEBUG):
        as_file(structured_report(given, sources, edition(sources, given)))
    assert not [value for value in PATIENT if value in caplog.text]


def test_every_condition_of_the_scheme_has_a_code() -> None:
    assert set(concepts._CONDITIONS) == set(Condition)
    assert {cell.condition for cell in LUMBAR_MRI.cells} == set(SHORT)
