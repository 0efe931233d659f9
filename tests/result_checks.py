"""What must hold of the DICOM objects and the FHIR document of any graded study, told by independent tools.

Numbers and words are compared with ``grades.json``; masks and pictures, which it does not hold, with what was located
and drawn.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset, dcmread
from pypdf import PdfReader
from tests.fhir_r4 import fhir_errors
from tests.sr_tree import (
    SHARES,
    STATUSES,
    WORDINGS,
    YES_NO,
    code_of_cell,
    groups_of,
    items,
    name_of,
    numbers_in,
    said_in,
    strays,
    whole_in,
)
from tests.written_objects import dciodvfy, dsrdump

from stenograde import concepts, default_bundle, geometry, read_study
from stenograde.dicom.write.kinds import ResultKind
from stenograde.grades import DiscFinding, StudyGrades
from stenograde.grading.dicom_results import dicom_results
from stenograde.predict.grade import grade_located
from stenograde.predict.locate import LocatedStudy, locate_study
from stenograde.report.as_fhir import OWN_SYSTEM, as_fhir
from stenograde.report.as_json import as_json
from stenograde.report.key_pictures import key_pictures
from stenograde.study import Study
from stenograde.terms import Quantity, Structure

MADE_AT = datetime(2026, 5, 6, 7, 8, 9)

Instances = Mapping[str, Sequence[Dataset]]
"""Headers by SOPInstanceUID; the series of RSNA 2024 share some."""


def instances_in(folder: Path) -> Instances:
    found: dict[str, list[Dataset]] = {}
    for path in folder.rglob("*.dcm"):
        ds = dcmread(path, stop_before_pixels=True)
        found.setdefault(str(ds.SOPInstanceUID), []).append(ds)
    return found


@dataclass(frozen=True, eq=False)
class Written:
    """A study that was graded once, and its objects as files."""

    study: Study
    located: LocatedStudy
    grades: StudyGrades
    source: Path
    folder: Path
    """Holds the objects."""

    def object(self, name: str) -> Dataset:
        return dcmread(self.folder / name)

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.dcm"))

    @cached_property
    def document(self) -> dict[str, Any]:
        """``grades.json``."""
        return as_json(self.grades)

    @cached_property
    def instances(self) -> Instances:
        return instances_in(self.source)


def grade_and_write(source: Path, folder: Path) -> Written:
    """Grade a study once and write all its DICOM objects."""
    study, bundle = read_study(source), default_bundle()
    located = locate_study(study, bundle)
    grades = grade_located(study, located, bundle)
    folder.mkdir()
    for result in dicom_results(grades, located, study, tuple(ResultKind), MADE_AT):
        (folder / result.file_name).write_bytes(result.content)
    return Written(study, located, grades, source, folder)


def check_everything(one: Written, *, own_roots: str = "") -> None:
    """Check all objects of a study; ``own_roots`` begins UIDs of the source that no standard knows."""
    assert set(one.names) > {"sr.dcm", "report.pdf.dcm", "seg.dcm", "pictures-1.dcm"}
    for name in one.names:
        errors = dciodvfy(one.folder / name)
        assert [line for line in errors if not own_roots or f'root for UID - "{own_roots}' not in line] == []
        check_references(one.instances, one.object(name))
        assert one.object(name).StudyInstanceUID == one.study.uid
    assert dsrdump(one.folder / "sr.dcm") == []
    assert len({one.object(name).SeriesInstanceUID for name in one.names}) == 4
    assert len({one.object(name).SOPInstanceUID for name in one.names}) == len(one.names)
    check_report(one)
    check_fhir(one)
    check_segmentation(one)
    check_pictures(one)
    check_pdf(one)


def check_references(instances: Instances, ds: Dataset) -> None:
    """Each reference leads to an instance of the study, by its SOP class, its series and a frame that it has."""
    n_references = 0
    for item in _nested(ds):
        for keyword in ("ReferencedSOPSequence", "ReferencedInstanceSequence"):
            for told in item.get(keyword, ()) if "SeriesInstanceUID" in item else ():
                sources = instances[told.ReferencedSOPInstanceUID]
                assert item.SeriesInstanceUID in {source.SeriesInstanceUID for source in sources}
        if "StudyInstanceUID" in item:
            assert item.StudyInstanceUID == ds.StudyInstanceUID
        if "ReferencedSOPInstanceUID" not in item:
            continue
        n_references += 1
        sources = instances[item.ReferencedSOPInstanceUID]
        # (the files of RSNA 2024 name their class in the file meta information alone)
        kinds = {one.get("SOPClassUID", one.file_meta.MediaStorageSOPClassUID) for one in sources}
        assert {item.ReferencedSOPClassUID} == kinds
        frames = np.atleast_1d(item.get("ReferencedFrameNumber", [])).astype(int)
        n_frames = _n_frames(sources)
        assert not len(frames) or (n_frames > 1 and frames.min() >= 1 and frames.max() <= n_frames)
    assert n_references or ds.Modality == "DOC"


def _n_frames(sources: Sequence[Dataset]) -> int:
    (n_frames,) = {int(source.get("NumberOfFrames", 1)) for source in sources}
    return n_frames


def _nested(ds: Dataset) -> Iterator[Dataset]:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _nested(item)


def expected_numbers(document: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, str]]]:
    """Return value and unit by level and code of every number that ``grades.json`` holds of what is no draft."""
    found: dict[str, dict[str, tuple[float, str]]] = {one["name"]: {} for one in document["levels"]}
    for cell in document["cells"]:
        if cell["status"] == "graded":
            for severity, share in cell["probability"].items():
                found[cell["level"]][f"P-{code_of_cell(cell)}-{SHARES[severity]}"] = share, "1"
    for disc in (document["discs"] or {"levels": ()})["levels"]:
        for finding, told in disc["findings"].items():
            name = concepts.finding_probability_code(DiscFinding(finding)).value
            found[disc["level"]][name] = told["probability"], "1"
        for grade, share in (disc["pfirrmann"] or {"probability": {}})["probability"].items():
            found[disc["level"]][f"P-PFG-{grade}"] = share, "1"
    for one in document["measurements"]:
        if one["value"] is not None:
            name = concepts.quantity_code(Quantity(one["name"])).value
            found[one["level"]][name] = one["value"], one["unit"].replace("²", "2")
    return found


def check_report(one: Written) -> None:
    """The structured report, read by highdicom, holds the numbers and words of ``grades.json``, and no others."""
    ds = hd.sr.srread(one.folder / "sr.dcm")
    assert list(strays(ds)) == []
    groups = groups_of(ds)
    assert {level: numbers_in(group) for level, group in groups.items()} == expected_numbers(one.document)
    for level in one.document["levels"]:
        said = said_in(groups[level["name"]])
        assert said["LEVEL-IMAGED"] == YES_NO[level["imaged"]]
        assert said["LEVEL-CERTAIN"] == YES_NO[level["certain"]]
    for cell in one.document["cells"]:
        name, group = code_of_cell(cell), groups[cell["level"]]
        status = cell["status"]
        expected = WORDINGS[cell["wording"]] if status == "graded" else STATUSES[status]
        assert said_in(group)[name] == expected
        texts = said_in(group, "TEXT").get(name, [])
        assert len(texts) == (1 if cell["reason"] else 0)
        if status == "graded":
            _check_evidence(one, cell, group)
    for disc in (one.document["discs"] or {"levels": ()})["levels"]:
        said = said_in(groups[disc["level"]])
        assert said.get("DISC") == STATUSES.get(disc["status"])
        for finding, told in disc["findings"].items():
            code = said[concepts.finding_code(DiscFinding(finding)).value]
            assert (
                code == {"Yes": YES_NO[True], "No": YES_NO[False], "Uncertain": "64957009"}[told["wording"]]
            )
    whole = said_in(whole_in(ds), "TEXT")
    assert len(whole.get("WARNING", ())) == len(one.document["warnings"])


def _check_evidence(one: Written, cell: Mapping[str, Any], group: Dataset) -> None:
    """Of a graded cell, each pixel stands on the right frame of its image, the point where ``grades.json`` has it."""
    pixels, points = [], []
    prefix = f"P-{code_of_cell(cell)}-"
    for number in (item for item in group.ContentSequence if name_of(item)[0].startswith(prefix)):
        kinds = {item.ValueType for item in number.get("ContentSequence", ())}
        assert len(kinds) <= 1  # (TID 320: pixels or points)
        is_said = name_of(number)[0] == prefix + SHARES[cell["severity"]]
        for item in number.get("ContentSequence", ()):
            if item.ValueType == "SCOORD3D":
                points.append(list(item.GraphicData))
                assert item.ReferencedFrameOfReferenceUID in {
                    ds.get("FrameOfReferenceUID") for sources in one.instances.values() for ds in sources
                }
                continue
            assert is_said
            (image,) = item.ContentSequence[0].ReferencedSOPSequence
            is_multi = _n_frames(one.instances[image.ReferencedSOPInstanceUID]) > 1
            assert ("ReferencedFrameNumber" in image) == is_multi
            frame = int(image.get("ReferencedFrameNumber", 1)) - 1
            column, row = np.asarray(item.GraphicData) - 0.5
            pixels.append((image.ReferencedSOPInstanceUID, frame, round(row, 3), round(column, 3)))
    expected = [
        (told["sop_instance_uid"], told["frame"], told["row"], told["column"]) for told in cell["evidence"]
    ]
    assert [told[:2] for told in pixels] == [told[:2] for told in expected]
    np.testing.assert_allclose([told[2:] for told in pixels], [told[2:] for told in expected], atol=2e-3)
    for point in points:
        np.testing.assert_allclose(point, cell["point_lps_mm"], atol=1e-3)
    has_frame = any(item.ValueType == "SCOORD3D" for item in items(group))
    assert bool(points) == (has_frame and cell["point_lps_mm"] is not None)


def check_fhir(one: Written) -> None:
    """The FHIR document is valid, and holds the numbers of ``grades.json``, and no others."""
    document = as_fhir(one.grades, made_at=MADE_AT)
    assert fhir_errors(document) == []
    found: dict[str, dict[str, tuple[float, str]]] = {level["name"]: {} for level in one.document["levels"]}
    resources = [entry["resource"] for entry in document["entry"]]
    for told in (one for one in resources if one["resourceType"] == "Observation"):
        level = told["bodySite"]["text"].split()[2]
        for part in (told, *told.get("component", ())):
            if "valueQuantity" in part:
                code = next(one["code"] for one in part["code"]["coding"] if one["system"] == OWN_SYSTEM)
                assert code not in found[level]
                found[level][code] = part["valueQuantity"]["value"], part["valueQuantity"]["code"]
    assert found == expected_numbers(one.document)


def check_segmentation(one: Written) -> None:
    """The segments are the locator's mask, where that lies in the patient, each on the slice that it was made of."""
    ds = one.object("seg.dcm")
    seg = hd.seg.Segmentation.from_dataset(ds)
    volume, masks = one.located.volume, one.located.stack.masks().copy()
    masks[list(volume.bridged)] = 0
    again = {structure: np.zeros(masks.shape, int) for structure in Structure}
    discs: dict[str, np.ndarray] = {}
    for number in seg.segment_numbers:
        label = seg.get_segment_description(number).segment_label
        part = seg.get_volume(segment_numbers=[number], combine_segments=False, allow_missing_positions=True)
        there = part.map_indices_to_reference(np.argwhere(part.array[..., 0]))
        index = geometry.to_index(volume.affine, there)
        np.testing.assert_allclose(index, np.rint(index), atol=0.02)
        word = re.search("vertebra|disc|canal", label)
        assert word
        np.add.at(again[Structure(word[0])], tuple(np.rint(index).astype(int).T), 1)
        if word[0] == "disc" and "/" in label:
            discs[label.split()[0]] = there
    for structure in Structure:
        np.testing.assert_array_equal(again[structure], masks == structure.code)
    for level in one.document["levels"]:
        if level["imaged"] and level["name"] in discs:
            away = {
                name: np.linalg.norm(there - level["point_lps_mm"], axis=1).min()
                for name, there in discs.items()
            }
            assert min(away, key=away.__getitem__) == level["name"], away
    for frame in ds.PerFrameFunctionalGroupsSequence:
        for told in frame.DerivationImageSequence[0].SourceImageSequence:
            sources = one.instances[told.ReferencedSOPInstanceUID]
            assert ("ReferencedFrameNumber" in told) == (_n_frames(sources) > 1)
            if told.SpatialLocationsPreserved == "YES":
                number = int(told.get("ReferencedFrameNumber", 1)) - 1
                here = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
                assert any(np.allclose(here, _position(source, number), atol=0.01) for source in sources)


def _position(source: Dataset, frame: int) -> np.ndarray:
    groups = source.get("PerFrameFunctionalGroupsSequence")
    place = groups[frame].PlanePositionSequence[0] if groups else source
    return np.array(place.ImagePositionPatient, float)


def check_pictures(one: Written) -> None:
    """The captures, read by highdicom, are the sheets as drawn, one after the other."""
    sheets = key_pictures(one.grades, one.study)
    names = [name for name in one.names if name.startswith("pictures-")]
    assert len(sheets) == len(names)
    for number, sheet in enumerate(sheets, start=1):
        image = hd.imread(one.folder / f"pictures-{number}.dcm")
        assert image.InstanceNumber == number
        np.testing.assert_array_equal(image.get_frame(1), sheet.pixels)
        told = {
            (item.ReferencedSOPInstanceUID, int(frame) - 1)
            for item in image.get("SourceImageSequence", ())
            for frame in np.atleast_1d(item.get("ReferencedFrameNumber", 1))
        }
        assert told == {(source.sop_instance_uid, source.frame) for source in sheet.sources}


def check_pdf(one: Written) -> None:
    """The printed report tells the words and shares of each graded cell, and each measurement."""
    ds = one.object("report.pdf.dcm")
    pages = PdfReader(io.BytesIO(ds.EncapsulatedDocument)).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    squeezed = text.replace(" ", "")
    assert one.document["bundle"]["hash"] in squeezed
    assert one.study.uid in squeezed
    graded = [cell for cell in one.document["cells"] if cell["status"] == "graded"]
    shares = Counter("/".join(map(_percent, cell["probability"].values())) for cell in graded)
    # (grades.json rounds to a millionth, the page never to impossible or certain)
    printed = re.sub(r"(?<![\d.])0%", "<1%", squeezed.replace("100%", ">99%"))
    for words, n in shares.items():
        assert printed.count(words) >= n, words
    for level, cells in _by_level(graded).items():
        card = squeezed[squeezed.index("Levelbylevel") :]
        card = card[card.index(level.replace(" ", "")) :]
        for cell in cells:
            assert cell["wording"].replace(" ", "") in card
    for one_ in one.document["measurements"]:
        if one_["value"] is not None:
            whole = (
                re.escape(f"{one_['value']:.0f}"),
                re.escape(f"{one_['value']:.1f}"),
                f"{one_['value']:.2f}",
            )
            assert any(re.search(rf"(?<![\d.]){value}(?!\d)", text) for value in whole), one_


def _by_level(cells: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        found.setdefault(cell["level"], []).append(cell)
    return found


def _percent(share: float) -> str:
    if share < 0.01:
        return "<1%"
    return ">99%" if share > 0.99 else f"{share * 100:.0f}%"
