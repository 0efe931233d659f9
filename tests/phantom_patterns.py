"""Small phantom studies of every habit of scanners and every pattern of series, each as files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian
from tests.small_phantoms import SMALL

from stenograde.phantom import Codec, FileOptions, Habit, Protocol, SliceOrder, write_cohort
from stenograde.terms import Role

T1, T2, AXIAL = Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR, Role.AXIAL_T2

Series = Mapping[Role, Sequence[Path]]
"""Folders of the series of a study by role."""

HABITS: dict[str, FileOptions] = {
    **{habit.value: FileOptions(habit=habit) for habit in Habit},
    "as in RSNA 2024": FileOptions(stripped=True),
}

PATIENT = "Müller^Anna"


@dataclass(frozen=True)
class Pattern:
    """How a study differs from the usual one: protocol, options of its files, and what is done to them after."""

    protocol: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[Series], None] = lambda _: None


def without(*roles: Role) -> Pattern:
    return Pattern({"missing": frozenset(roles)})


def every_multi_frame(series: Series) -> None:
    for folder in (folder for folders in series.values() for folder in folders):
        as_multi_frame(folder)


def lose_slice(series: Series) -> None:
    """Take a slice beside the middle away, so that the volume is bridged."""
    (folder,) = series[T2]
    sorted(folder.iterdir(), key=lambda path: dcmread(path).InstanceNumber)[2].unlink()


def repeat_folder(series: Series) -> None:
    (folder,) = series[T2]
    shutil.copytree(folder, folder.with_name(f"{folder.name} (1)"))


def split_into_stations(series: Series) -> None:
    """Cut the T2 into two series, one for the upper rows and one for the lower, with some of both."""
    (folder,) = series[T2]
    lower = folder.with_name(f"{folder.name}1")
    lower.mkdir()
    for path in folder.iterdir():
        ds = dcmread(path)
        n_rows, overlap = int(ds.Rows), int(ds.Rows) // 5
        pixels, down = ds.pixel_array, np.array(ds.ImageOrientationPatient[3:], float)
        first = (n_rows - overlap) // 2
        _keep_rows(ds, pixels[: first + overlap])
        ds.save_as(path)
        ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}1", f"{ds.SOPInstanceUID}.1"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        corner = np.array(ds.ImagePositionPatient, float) + first * float(ds.PixelSpacing[0]) * down
        ds.ImagePositionPatient = [round(float(value), 6) for value in corner]
        _keep_rows(ds, pixels[first:])
        ds.save_as(lower / path.name)


def _keep_rows(ds: Dataset, pixels: np.ndarray) -> None:
    ds.Rows, ds.PixelData = len(pixels), np.ascontiguousarray(pixels).tobytes()


def change_frame_of_reference(series: Series, role: Role, uid: str | None) -> None:
    for path in (path for folder in series[role] for path in folder.iterdir()):
        ds = dcmread(path)
        if uid is None:
            del ds.FrameOfReferenceUID
        else:
            ds.FrameOfReferenceUID = uid
        ds.save_as(path)


PATTERNS: dict[str, Pattern] = {
    "usual": Pattern(),
    "STIR": Pattern({"stir": True}),
    "axial block": Pattern({"axial_block": True}),
    "three axial series": Pattern({"axial_series": 3}),
    "no T1": without(T1),
    "no T2": without(T2),
    "no axial": without(AXIAL),
    "T2 alone": without(T1, AXIAL),
    "T1 alone": without(T2, AXIAL),
    "short field": Pattern({"sagittal_matrix": 96, "sagittal_field_mm": 138.0}),
    "T2 in two stations": Pattern(change=split_into_stations),
    "lost slice": Pattern({"sagittal_slices": 5, "thickness_mm": 4.0}, change=lose_slice),
    "folder twice": Pattern(change=repeat_folder),
    "axial of another frame of reference": Pattern(
        change=lambda series: change_frame_of_reference(series, AXIAL, "2.25.4711")
    ),
    "T2 without frame of reference": Pattern(
        change=lambda series: change_frame_of_reference(series, T2, None)
    ),
    "T2 multi-frame": Pattern(change=lambda series: as_multi_frame(series[T2][0])),
    "all multi-frame": Pattern(change=every_multi_frame),
    "compressed, reversed, names shuffled": Pattern(
        options={"codec": Codec.JPEG_2000, "order": SliceOrder.REVERSED, "shuffled_names": True}
    ),
}


NOT_GRADED: dict[str, Pattern] = {
    "axial alone": without(T1, T2),
    "one sagittal slice": Pattern({"sagittal_slices": 1}),
}
"""Patterns of which levels cannot be found."""


def write_pattern(folder: Path, habit: str, pattern: str) -> Path:
    """Write a study of a habit and a pattern, and return its folder; where names are kept, the patient has one."""
    how = (PATTERNS | NOT_GRADED)[pattern]
    protocol: Protocol = replace(SMALL, **how.protocol)
    options = replace(HABITS[habit], **how.options)
    (study,) = write_cohort(folder, patients=1, seed=3, protocol=protocol, options=options).studies
    if not options.stripped:
        for path in study.folder.rglob("*.dcm"):
            ds = dcmread(path)
            ds.PatientName, ds.PatientID = PATIENT, "PLANTED-ID"
            ds.save_as(path)
    series: dict[Role, list[Path]] = {role: [] for role in Role}
    for plan, number in zip(study.plans, study.ids.series, strict=True):
        series[plan.role].append(study.folder / str(number))
    how.change(series)
    return study.folder


def as_multi_frame(folder: Path) -> None:
    """Put one Enhanced MR instance in the place of a series, its frames in the order of names: 1, 10, 11, 2."""
    paths = sorted(folder.glob("*.dcm"))
    parts = [dcmread(path) for path in paths]
    ds = deepcopy(parts[0])
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedMRImageStorage, len(parts)
    ds.SOPInstanceUID = f"{ds.SOPInstanceUID}.9"
    measures, timing, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ds.PixelSpacing, ds.SliceThickness
    shared.PixelMeasuresSequence = [measures]
    if "RepetitionTime" in ds:
        timing.RepetitionTime, timing.FlipAngle = ds.RepetitionTime, 90
        shared.MRTimingAndRelatedParametersSequence = [timing]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = list(map(_frame_of, parts))
    ds.PixelData = np.stack([part.pixel_array for part in parts]).tobytes()
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(ds, keyword)
    if "EchoTime" in ds:
        del ds.EchoTime
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    for path in paths:
        path.unlink()
    ds.save_as(folder / "volume.dcm", enforce_file_format=True)


def _frame_of(part: Dataset) -> Dataset:
    frame, position, orientation, echo = Dataset(), Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = part.ImagePositionPatient
    orientation.ImageOrientationPatient = part.ImageOrientationPatient
    frame.PlanePositionSequence, frame.PlaneOrientationSequence = [position], [orientation]
    if "EchoTime" in part:
        echo.EffectiveEchoTime = float(part.EchoTime)
        frame.MREchoSequence = [echo]
    return frame
