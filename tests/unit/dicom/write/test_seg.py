"""A segmentation lies where the masks lie, names its source frames, and says of no level what is not certain."""

from __future__ import annotations

import io
from datetime import datetime

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from tests.dicom_files import STUDY, T2, save, write_series
from tests.unit.dicom.read.test_multiframe import enhanced
from tests.unit.dicom.read.test_stations import station
from tests.written_objects import PATIENT, dciodvfy

from stenograde import geometry, read_study
from stenograde.dicom.write.seg import Segment, segmentation
from stenograde.dicom.write.series import Edition, as_file
from stenograde.dicom.write.sources import sources_of
from stenograde.grades import BundleStamp
from stenograde.study import Series, Study
from stenograde.terms import Structure

BUNDLE = BundleStamp("test", "1.0", "ab" * 32)
MADE_AT = datetime(2026, 11, 29, 12, 30)
SEGMENTS = (
    Segment(Structure.VERTEBRA, "L4"),
    Segment(Structure.DISC, "L4/L5"),
    Segment(Structure.CANAL),
    Segment(Structure.DISC),
)
HEADER = {
    "SpecificCharacterSet": "ISO_IR 100",
    "PatientName": PATIENT[0],
    "PatientID": PATIENT[1],
    "PatientBirthDate": PATIENT[2],
    "PatientSex": "O",
    "AccessionNumber": PATIENT[3],
    "StudyDate": "20200101",
    "StudyTime": "120000",
    "StudyID": "1",
    "ReferringPhysicianName": "",
    "FrameOfReferenceUID": "2.25.77",
    "PositionReferenceIndicator": "",
}


def single_frames(folder) -> Study:
    """Slices whose names, numbers and places have three different orders; oblique."""
    order = [3, 0, 4, 1, 2]
    turned = [0.0, 0.96, -0.28, 0.0, -0.28, -0.96]

    def edit(ds: Dataset, index: int) -> None:
        ds.ImagePositionPatient = [10.0 + 4.0 * order[index], -20.0, 30.0]
        ds.InstanceNumber = (7 * index) % 5 + 1

    write_series(folder, series=2, orientation=turned, edit=edit, **T2, **HEADER)
    return read_study(folder)


def multi_frame(folder) -> Study:
    save(enhanced(**HEADER), folder / "volume")
    return read_study(folder)


def numbers_for(series: Series) -> np.ndarray:
    """Random masks; the first slice is empty, the last segment lies on one slice alone."""
    shape = series.volumes[0].shape
    numbers = np.random.default_rng(5).integers(0, 4, shape).astype(np.uint8)
    numbers[0] = 0
    numbers[2, 3:9, 4:7] = 4
    return numbers


def written(study: Study, numbers: np.ndarray | None = None, segments=SEGMENTS) -> Dataset:
    (series,) = study.series
    sources = sources_of(study)
    numbers = numbers_for(series) if numbers is None else numbers
    return segmentation(
        series.uid,
        series.volumes[0],
        numbers,
        segments,
        sources=sources,
        edition=Edition.of(sources, BUNDLE, MADE_AT),
    )


def read_back(ds: Dataset) -> hd.seg.Segmentation:
    return hd.seg.Segmentation.from_dataset(dcmread(io.BytesIO(as_file(ds))))


STUDIES = pytest.mark.parametrize("make", [single_frames, multi_frame])


@STUDIES
def test_each_voxel_is_where_it_was_marked_in_the_patient(tmp_path, make):
    study = make(tmp_path)
    volume = study.series[0].volumes[0]
    numbers = numbers_for(study.series[0])

    seg = read_back(written(study, numbers))

    assert seg.FrameOfReferenceUID == "2.25.77"
    for number in range(1, len(SEGMENTS) + 1):
        found = seg.get_volume(segment_numbers=[number], combine_segments=False, allow_missing_positions=True)
        index = np.argwhere(found.array[..., 0])
        there = found.map_indices_to_reference(index)
        ours = geometry.to_patient(volume.affine, np.argwhere(numbers == number))
        np.testing.assert_allclose(
            there[np.lexsort(there.round(3).T)], ours[np.lexsort(ours.round(3).T)], atol=1e-3
        )


def test_each_frame_names_the_instance_that_it_was_made_of(tmp_path):
    study = single_frames(tmp_path)
    volume = study.series[0].volumes[0]
    numbers = numbers_for(study.series[0])
    shown = [uid for uid, plane in zip(volume.sop_instance_uids, numbers, strict=True) if plane.any()]

    seg = read_back(written(study, numbers))
    found = seg.get_pixels_by_source_instance(shown, combine_segments=True)

    np.testing.assert_array_equal(found, numbers[1:])


def test_each_frame_names_the_frame_of_a_multi_frame_instance_that_it_was_made_of(tmp_path):
    study = multi_frame(tmp_path)
    volume = study.series[0].volumes[0]
    numbers = numbers_for(study.series[0])
    assert volume.frames == (5, 4, 3, 2, 1, 0)

    seg = read_back(written(study, numbers))
    found = seg.get_pixels_by_source_frame(
        volume.sop_instance_uids[0], [frame + 1 for frame in volume.frames[1:]], combine_segments=True
    )

    np.testing.assert_array_equal(found, numbers[1:])


@STUDIES
def test_positions_are_those_of_the_source(tmp_path, make):
    study = make(tmp_path)
    seg = written(study)
    sources = {}
    for path in tmp_path.iterdir():
        ds = dcmread(path)
        if "PerFrameFunctionalGroupsSequence" in ds:
            for number, frame in enumerate(ds.PerFrameFunctionalGroupsSequence, start=1):
                position = frame.PlanePositionSequence[0].ImagePositionPatient
                sources[ds.SOPInstanceUID, number] = position
        else:
            sources[ds.SOPInstanceUID, None] = ds.ImagePositionPatient

    for frame in seg.PerFrameFunctionalGroupsSequence:
        (named,) = frame.DerivationImageSequence[0].SourceImageSequence
        position = sources[named.ReferencedSOPInstanceUID, named.get("ReferencedFrameNumber")]
        ours = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(np.array(ours, float), np.array(position, float), atol=1e-4)
        assert named.SpatialLocationsPreserved == "YES"


@STUDIES
def test_no_error_is_found_and_it_belongs_to_the_study_of_its_source(tmp_path, make):
    study = make(tmp_path / "in")
    ds = written(study)
    (tmp_path / "seg.dcm").write_bytes(as_file(ds))

    assert dciodvfy(tmp_path / "seg.dcm") == []
    assert (ds.StudyInstanceUID, ds.Modality, ds.SegmentationType) == (STUDY, "SEG", "BINARY")
    assert ds.SeriesInstanceUID != study.series[0].uid
    (told,) = ds.ReferencedSeriesSequence
    assert told.SeriesInstanceUID == study.series[0].uid
    named = {one.ReferencedSOPInstanceUID for one in told.ReferencedInstanceSequence}
    assert named <= set(study.series[0].volumes[0].sop_instance_uids)


@STUDIES
def test_a_second_run_gives_the_same_bytes(tmp_path, make):
    study = make(tmp_path)

    assert as_file(written(study)) == as_file(written(study))


def test_codes_are_of_the_level_and_the_algorithm_is_named(tmp_path):
    seg = read_back(written(single_frames(tmp_path)))

    said = [seg.get_segment_description(number) for number in seg.segment_numbers]
    assert [one.segment_label for one in said] == [
        "L4 vertebra",
        "L4/L5 disc",
        "spinal canal",
        "disc, level not known",
    ]
    assert [one.segmented_property_type.value for one in said[:3]] == [
        codes.SCT.L4Vertebra.value,
        codes.SCT.L4L5Disc.value,
        codes.SCT.VertebralCanal.value,
    ]
    assert said[3].segmented_property_type.scheme_designator == "99STENOGRADE"
    (algorithm,) = said[0].algorithm_identification
    assert algorithm.AlgorithmName == "stenograde"
    assert BUNDLE.hash in algorithm.AlgorithmParameters


@pytest.mark.parametrize("name", ["L1", "L2", "L3", "L4", "L5", "T12", "T9", "S1"])
def test_each_vertebra_has_a_code_of_its_own(name):
    code = Segment(Structure.VERTEBRA, name).code

    assert (name in code.meaning) or (name, code) == ("S1", codes.SCT.Sacrum)


def test_a_name_in_doubt_is_told_and_not_coded():
    vertebra = Segment(Structure.VERTEBRA, "L4", is_certain=False)
    disc = Segment(Structure.DISC, "L4/L5", is_certain=False)

    assert vertebra.code == codes.SCT.Vertebra
    assert disc.code.scheme_designator == "99STENOGRADE"
    assert "uncertain" in vertebra.label
    assert "uncertain" in disc.label


def test_without_a_frame_of_reference_it_has_one_of_its_own(tmp_path):
    write_series(tmp_path, series=2, **T2, **{**HEADER, "FrameOfReferenceUID": ""})
    study = read_study(tmp_path)
    ds = written(study)

    assert str(ds.FrameOfReferenceUID).startswith("2.25.")
    assert ds.FrameOfReferenceUID == written(study).FrameOfReferenceUID


def test_that_the_source_was_compressed_with_loss_is_passed_on(tmp_path):
    lossy = {"LossyImageCompression": "01", "LossyImageCompressionRatio": 7.5}
    write_series(tmp_path / "in", series=2, **T2, **HEADER, **lossy)
    ds = written(read_study(tmp_path / "in"))
    (tmp_path / "seg.dcm").write_bytes(as_file(ds))

    assert (ds.LossyImageCompression, ds.LossyImageCompressionRatio) == ("01", 7.5)
    assert dciodvfy(tmp_path / "seg.dcm") == []
    write_series(tmp_path / "sound", series=2, **T2, **HEADER)
    assert written(read_study(tmp_path / "sound")).LossyImageCompression == "00"


def test_a_lost_slice_that_was_made_up_is_left_out(tmp_path):
    paths = write_series(tmp_path, series=2, n=9, **T2, **HEADER)
    paths[4].unlink()
    study = read_study(tmp_path)
    volume = study.series[0].volumes[0]
    assert volume.bridged == (4,)

    ds = written(study, np.ones(volume.shape, np.uint8), SEGMENTS[:1])

    assert ds.NumberOfFrames == volume.shape[0] - 1


def test_a_slice_that_was_joined_from_two_series_names_both(tmp_path):
    station(tmp_path, 0, 70, **HEADER)
    station(tmp_path, 50, 120, series=2, **HEADER)
    study = read_study(tmp_path)
    series = next(one for one in study.series if one.volumes[0].joined)
    volume = series.volumes[0]
    sources = sources_of(study)
    edition = Edition.of(sources, BUNDLE, MADE_AT)
    numbers = np.ones(volume.shape, np.uint8)

    ds = segmentation(series.uid, volume, numbers, SEGMENTS[:1], sources=sources, edition=edition)

    assert len(ds.ReferencedSeriesSequence) == 2
    for frame in ds.PerFrameFunctionalGroupsSequence:
        named = frame.DerivationImageSequence[0].SourceImageSequence
        assert len({one.ReferencedSOPInstanceUID for one in named}) == 2
        assert {one.SpatialLocationsPreserved for one in named} == {"NO"}
    (tmp_path / "seg.dcm").write_bytes(as_file(ds))
    assert dciodvfy(tmp_path / "seg.dcm") == []


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        (np.ones((5, 20, 15), np.uint8), r"must have the volume's shape \(5, 20, 16\)"),
        (np.zeros((5, 20, 16), np.uint8), "mark 1 to 4 segments, got .* up to 0"),
        (np.full((5, 20, 16), 5, np.uint8), "mark 1 to 4 segments, got .* up to 5"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, numbers, match):
    with pytest.raises(ValueError, match=match):
        written(single_frames(tmp_path), numbers)


def test_nothing_of_the_patient_is_logged(tmp_path, caplog):
    caplog.set_level(0)
    as_file(written(single_frames(tmp_path)))

    assert not any(value in caplog.text for value in PATIENT)
