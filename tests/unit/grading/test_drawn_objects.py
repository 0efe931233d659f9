"""Report, key pictures and segmentation of graded phantoms and of a real study, read back by other tools."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian
from pypdf import PdfReader
from tests.written_objects import dciodvfy

from stenograde import default_bundle, geometry, read_study
from stenograde.dicom.write.series import Edition, as_file
from stenograde.dicom.write.sources import sources_of
from stenograde.grades import StudyGrades
from stenograde.grading.drawn_objects import anatomy_object, picture_objects, report_object
from stenograde.predict.grade import grade_located
from stenograde.predict.locate import LocatedStudy, locate_study
from stenograde.report.key_pictures import key_pictures
from stenograde.study import Study
from stenograde.terms import Structure

MADE_AT = datetime(2026, 11, 29, 12, 30)
PATTERNS = ("usual", "sagittal T2 alone", "multi-frame")


@dataclass(frozen=True, eq=False)
class Written:
    """A graded study and its objects as files."""

    study: Study
    located: LocatedStudy
    grades: StudyGrades
    report: bytes
    pictures: tuple[bytes, ...]
    anatomy: bytes

    @property
    def files(self) -> tuple[bytes, ...]:
        return self.report, *self.pictures, self.anatomy


def written(folder: Path) -> Written:
    study, bundle = read_study(folder), default_bundle()
    located = locate_study(study, bundle)
    grades = grade_located(study, located, bundle)
    sources = sources_of(study)
    edition = Edition.of(sources, grades.bundle, MADE_AT)
    return Written(
        study,
        located,
        grades,
        as_file(report_object(grades, study, sources, edition)),
        tuple(map(as_file, picture_objects(grades, study, sources, edition))),
        as_file(anatomy_object(located, sources, edition)),
    )


def sagittal_t2(folder: Path) -> Path:
    series = [path for path in folder.iterdir() if path.is_dir()]
    headers = {path: dcmread(next(path.glob("*.dcm")), stop_before_pixels=True) for path in series}
    return max(
        (path for path in series if abs(headers[path].ImageOrientationPatient[1]) > 0.8),
        key=lambda path: headers[path].EchoTime,
    )


def as_multi_frame(folder: Path, target: Path) -> None:
    """Write a series of single frames as one Enhanced MR instance, its frames in the order of names: 1, 10, 11, 2."""
    parts = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    ds = deepcopy(parts[0])
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedMRImageStorage, len(parts)
    measures, orientation, timing = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ds.PixelSpacing, ds.SliceThickness
    orientation.ImageOrientationPatient = ds.ImageOrientationPatient
    timing.RepetitionTime, timing.FlipAngle = ds.RepetitionTime, 90
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.MRTimingAndRelatedParametersSequence = [timing]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = list(map(_frame_of, parts))
    ds.PixelData = np.stack([part.pixel_array for part in parts]).tobytes()
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "EchoTime",
    ):
        delattr(ds, keyword)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    target.mkdir()
    ds.save_as(target / "volume.dcm", enforce_file_format=True)


def _frame_of(part: Dataset) -> Dataset:
    frame, position, echo = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = part.ImagePositionPatient
    echo.EffectiveEchoTime = float(part.EchoTime)
    frame.PlanePositionSequence, frame.MREchoSequence = [position], [echo]
    return frame


@pytest.fixture(scope="module", params=PATTERNS)
def made(request, phantom_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    folder = tmp_path_factory.mktemp("study")
    t2 = sagittal_t2(phantom_study)
    if request.param == "sagittal T2 alone":
        shutil.copytree(t2, folder / t2.name)
    elif request.param == "multi-frame":
        shutil.copytree(phantom_study, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(t2.name))
        as_multi_frame(t2, folder / "volume")
    else:
        shutil.copytree(phantom_study, folder, dirs_exist_ok=True)
    return written(folder)


def check_masks(one: Written) -> None:
    """The segments of a kind are together the locator's mask, voxel by voxel, where these lie in the patient."""
    seg = hd.seg.Segmentation.from_dataset(dcmread(io.BytesIO(one.anatomy)))
    volume, masks = one.located.volume, one.located.stack.masks()
    kinds = {"vertebra": Structure.VERTEBRA, "disc": Structure.DISC, "canal": Structure.CANAL}
    found: dict[Structure, list[np.ndarray]] = {}
    for number in seg.segment_numbers:
        label = seg.get_segment_description(number).segment_label
        part = seg.get_volume(segment_numbers=[number], combine_segments=False, allow_missing_positions=True)
        there = part.map_indices_to_reference(np.argwhere(part.array[..., 0]))
        structure = next(kind for word, kind in kinds.items() if word in label)
        found.setdefault(structure, []).append(geometry.to_index(volume.affine, there))
    for structure in Structure:
        index = np.concatenate(found[structure])
        np.testing.assert_allclose(index, np.rint(index), atol=0.02)
        again = np.zeros(masks.shape, int)
        np.add.at(again, tuple(np.rint(index).astype(int).T), 1)
        np.testing.assert_array_equal(again, masks == structure.code)


def check_pictures(one: Written) -> None:
    sheets = key_pictures(one.grades, one.study)
    assert len(sheets) == len(one.pictures) > 1
    for sheet, content in zip(sheets, one.pictures, strict=True):
        np.testing.assert_array_equal(dcmread(io.BytesIO(content)).pixel_array, sheet.pixels)


def check_report(one: Written) -> None:
    ds = dcmread(io.BytesIO(one.report))
    pages = PdfReader(io.BytesIO(ds.EncapsulatedDocument)).pages
    assert one.grades.bundle.hash in "".join(page.extract_text() for page in pages)


@pytest.mark.slow
def test_segmentation_is_the_locators_mask(made):
    check_masks(made)


@pytest.mark.slow
def test_key_pictures_and_report_are_as_drawn(made):
    check_pictures(made)
    check_report(made)


@pytest.mark.slow
def test_no_error_is_found_in_any_object_and_all_are_of_the_study(made, tmp_path):
    for number, content in enumerate(made.files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
        assert dciodvfy(tmp_path / f"{number}.dcm") == []
        assert dcmread(io.BytesIO(content)).StudyInstanceUID == made.study.uid
    assert len({dcmread(io.BytesIO(content)).SeriesInstanceUID for content in made.files}) == 3


@pytest.mark.slow
@pytest.mark.data
def test_a_real_study_is_written_without_errors_but_for_uids_of_its_own(development_data: Path, tmp_path):
    one = written(development_data / "rsna2024_study" / "train_images")
    check_masks(one)
    check_pictures(one)
    check_report(one)
    for number, content in enumerate(one.files):
        (tmp_path / f"{number}.dcm").write_bytes(content)
        # its publishers gave it UIDs that begin with a number that no one may use
        own = f'Error - Illegal root for UID - "{one.study.uid}'
        assert [line for line in dciodvfy(tmp_path / f"{number}.dcm") if not line.startswith(own)] == []
