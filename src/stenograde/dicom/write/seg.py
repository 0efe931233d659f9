"""Masks of vertebrae, discs and canal as a DICOM Segmentation on the frames of the series that they were found in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from stenograde import geometry
from stenograde.concepts import INTERVERTEBRAL_DISC, SCHEME
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.tolerant import recorded_warnings
from stenograde.dicom.write.kinds import ResultKind
from stenograde.dicom.write.references import instance_of, reference_to, referenced_series
from stenograde.dicom.write.series import MANUFACTURER, Edition, finished, plain
from stenograde.dicom.write.sources import Sources, header_of
from stenograde.study import Volume
from stenograde.terms import Structure

if TYPE_CHECKING:  # (highdicom takes a second to import)
    from highdicom.seg import SegmentDescription

_LABEL: Final = 64
"""Most characters of a SegmentLabel (VR LO)."""

_NEEDED: Final = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)
"""Attributes that highdicom copies; they are replaced by the source's own (see ``finished``)."""

_PLACE_UID: Final = "2.25."
"""Root of the UIDs that stand for slices while the object is made."""


@dataclass(frozen=True)
class Segment:
    """What one segment is."""

    structure: Structure
    name: str = ""
    """``L4`` of a vertebra, ``L4/L5`` of a disc; empty where the level is not known, and of the canal."""
    is_certain: bool = True
    """Whether the name is beyond doubt; one in doubt is told in words, and not coded."""

    @property
    def label(self) -> str:
        """Text for people.

        Examples
        --------
        >>> Segment(Structure.DISC, "L4/L5").label, Segment(Structure.VERTEBRA, "L4", is_certain=False).label
        ('L4/L5 disc', 'L4 vertebra (name of the level uncertain)')
        >>> Segment(Structure.VERTEBRA).label, Segment(Structure.CANAL).label
        ('vertebra, level not known', 'spinal canal')
        """
        if self.structure is Structure.CANAL:
            return "spinal canal"
        if not self.name:
            return f"{self.structure.value}, level not known"
        doubt = "" if self.is_certain else " (name of the level uncertain)"
        return f"{self.name} {self.structure.value}{doubt}"

    @property
    def code(self) -> Code:
        """Type of the segmented property (PS3.16 CID 7151): of its level only where that is certain.

        Examples
        --------
        >>> Segment(Structure.DISC, "L4/L5").code.value, Segment(Structure.VERTEBRA, "L4").code.value
        ('84020006', '11994002')
        >>> Segment(Structure.VERTEBRA, "L4", is_certain=False).code.meaning
        'Vertebra'
        """
        if self.structure is Structure.CANAL:
            return codes.SCT.VertebralCanal
        if self.name == "S1":
            return codes.SCT.Sacrum
        if self.name and self.is_certain:
            return getattr(codes.SCT, f"{self.name.replace('/', '')}{self.structure.value.capitalize()}")
        if self.structure is Structure.VERTEBRA:
            return codes.SCT.Vertebra
        return Code(INTERVERTEBRAL_DISC.value, INTERVERTEBRAL_DISC.scheme, INTERVERTEBRAL_DISC.meaning)


def segmentation(
    series_uid: str,
    volume: Volume,
    numbers: NDArray[np.uint8],
    segments: Sequence[Segment],
    *,
    sources: Sources,
    edition: Edition,
) -> Dataset:
    """Return masks as a binary Segmentation (PS3.3 A.51), one segment for each structure that was found.

    Parameters
    ----------
    series_uid : str
        SeriesInstanceUID of the series that the volume is of; instances of several series may share their UIDs.
    volume : Volume
        The one that was marked. Its slices are the frames; those that were lost and made up are left out, as is what is
        empty.
    numbers : ndarray of shape (slices, rows, columns), uint8
        On the volume's own grid: 0 background, else the place of a segment, counted from 1.
    segments : sequence of Segment
    sources : Sources
    edition : Edition

    Raises
    ------
    ValueError
        If the masks are not of the volume's shape, or mark nothing.
    UnreadableInstanceError
        If a slice is of no instance of the sources, or a header cannot be copied.
    """
    if numbers.shape != volume.shape or not numbers.any() or numbers.max() > len(segments):
        msg = (
            f"masks must have the volume's shape {volume.shape} and mark 1 to {len(segments)} segments, "
            f"got {numbers.shape} up to {int(numbers.max(initial=0))}"
        )
        raise ValueError(msg)
    frame_of_reference = volume.frame_of_reference_uid or edition.uid("frame of reference", 1)
    shown = [place for place in range(volume.shape[0]) if place not in volume.bridged]
    places = [_place(volume, place, frame_of_reference) for place in shown]
    first = instance_of(sources, volume.sop_instance_uids[shown[0]], series_uid)
    _tell_compression(places[0], header_of(first))
    with recorded_warnings():
        made = _made(places, numbers[shown], segments, edition)
    _name_sources(made, series_uid, volume, sources)
    _fix_uids(made, edition.uid("dimensions", 1))
    from stenograde.dicom.write.codes import own_scheme  # noqa: PLC0415  (highdicom)

    ds = finished(made, sources, edition, ResultKind.SEG)
    ds.FrameOfReferenceUID = frame_of_reference
    ds.PositionReferenceIndicator = ds.get("PositionReferenceIndicator") or None
    if any(segment.code.scheme_designator == SCHEME for segment in segments):
        ds.CodingSchemeIdentificationSequence = [own_scheme()]
    ds["PixelData"].VR = "OB"  # (PS3.5 8.2: of one bit it may be either)
    return ds


def _made(
    places: Sequence[Dataset], numbers: NDArray[np.uint8], segments: Sequence[Segment], edition: Edition
) -> Dataset:
    from highdicom.seg import Segmentation, SegmentationTypeValues  # noqa: PLC0415  (it takes a second)

    return Segmentation(
        source_images=places,
        pixel_array=numbers,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(segments, edition),
        series_instance_uid=edition.series_uid(ResultKind.SEG),
        series_number=ResultKind.SEG.series_number,
        sop_instance_uid=edition.instance_uid(ResultKind.SEG),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=edition.software,
        device_serial_number="none",
        content_label="SPINE",
        content_description="Vertebrae, discs and spinal canal, found by computer",
        omit_empty_frames=True,
    )


def _place(volume: Volume, place: int, frame_of_reference: str) -> Dataset:
    """Return what highdicom must know of the frame that a slice is, under a UID that says which slice it is."""
    axes = volume.affine[:3, :3]
    spacing = geometry.spacing_mm(volume.affine)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, f"{_PLACE_UID}{place}"
    ds.StudyInstanceUID = ds.SeriesInstanceUID = "2.25.0"
    ds.FrameOfReferenceUID = frame_of_reference
    ds.Modality, ds.Rows, ds.Columns = "MR", volume.shape[1], volume.shape[2]
    ds.ImagePositionPatient = _decimals(geometry.to_patient(volume.affine, [[place, 0, 0]])[0])
    along_row, along_column = axes[:, 2] / spacing[2], axes[:, 1] / spacing[1]
    ds.ImageOrientationPatient = _decimals(np.concatenate([along_row, along_column]))
    ds.PixelSpacing = _decimals(np.array(spacing[1:]))
    ds.SliceThickness = ds.SpacingBetweenSlices = _decimals(np.array(spacing[:1]))[0]
    for keyword in _NEEDED:
        setattr(ds, keyword, "")
    return ds


def _tell_compression(place: Dataset, source: Dataset) -> None:
    """Pass on that the source was compressed with loss: its masks are of what was left (PS3.3 C.7.6.1.1.5)."""
    if source.get("LossyImageCompression") != "01":
        return
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if source.get(keyword):
            setattr(place, keyword, source.get(keyword))


def _decimals(values: NDArray[np.float64]) -> list[str]:
    """Return numbers as decimal strings of at most 16 characters (PS3.5 6.2)."""
    return [format_number_as_ds(float(value)) for value in values]


def _descriptions(segments: Sequence[Segment], edition: Edition) -> list[SegmentDescription]:
    from highdicom import AlgorithmIdentificationSequence  # noqa: PLC0415
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription  # noqa: PLC0415

    algorithm = AlgorithmIdentificationSequence(
        name=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
        version=plain(edition.software_versions, _LABEL),
        parameters={"bundle": edition.bundle.hash},
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=segment.label[:_LABEL],
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=segment.code,
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=edition.uid(f"segment {segment.label}", number),
            tracking_id=segment.label[:_LABEL],
        )
        for number, segment in enumerate(segments, start=1)
    ]


def _name_sources(made: Dataset, series_uid: str, volume: Volume, sources: Sources) -> None:
    """Put the instances and frames that slices were read from in place of the UIDs that stand for slices."""
    used: dict[Instance, None] = {}
    for frame in made.PerFrameFunctionalGroupsSequence:
        (derived,) = frame.DerivationImageSequence
        (told,) = derived.SourceImageSequence
        place = int(told.ReferencedSOPInstanceUID.removeprefix(_PLACE_UID))
        stored = [(instance_of(sources, uid, series_uid), index) for uid, index in volume.stored_in(place)]
        used.update(dict.fromkeys(instance for instance, _ in stored))
        items = []
        for instance, index in stored:
            item = reference_to(instance, [index])
            item.PurposeOfReferenceCodeSequence = told.PurposeOfReferenceCodeSequence
            item.SpatialLocationsPreserved = (
                "YES" if len(stored) == 1 else "NO"
            )  # (a station has another size)
            items.append(item)
        derived.SourceImageSequence = items
    made.SourceImageSequence = [reference_to(instance) for instance in used]
    made.ReferencedSeriesSequence = referenced_series(used)


def _fix_uids(made: Dataset, dimensions_uid: str) -> None:
    """Put a UID that a second run gives again in place of the one drawn for the dimensions."""
    for item in (*made.DimensionIndexSequence, *made.DimensionOrganizationSequence):
        item.DimensionOrganizationUID = dimensions_uid
