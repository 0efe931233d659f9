"""Sagittal slices as Mid or Lateral, by the rule of Natalia and Sudirman, for slabs of pictures and for studies.

The rule of the document: of fifteen sagittal slices the mid-sagittal one and the two on each side of it are Mid,
the other ten are Lateral. The mid-sagittal slice is the one nearest to the middle of the stack by slice location
s = n·p. The label therefore says where in the stack a slice lies; nobody has checked whether the stack was centred
on the spine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stenograde import geometry
from stenograde.datasets.picture_files import ArrayPicture, PictureFile, pictures_in
from stenograde.datasets.samples import Sample, SampleSet, StoredPicture
from stenograde.datasets.study_files import PatientStudy, read_patients
from stenograde.errors import DatasetError
from stenograde.images.contrast import fluid_signal
from stenograde.study import Volume
from stenograde.terms import Role, Weighting

CLASSES: Final = ("lateral", "mid")
"""Classes in the order of their codes."""

NEIGHBOURS: Final = 2
"""Number of slices on each side of the mid-sagittal one that are also Mid (Natalia and Sudirman, section 3)."""

LEAST_STEP_MM: Final = 3.3
"""Smallest sagittal slice spacing in the document's table 1, mm; closer slices count as if they were this far
apart."""

SLAB_STEP_MM: Final = 4.0
"""Slice spacing of ``lumbar_slabs``, mm (its entry in SOURCES.md)."""

SLAB_PIXEL_MM: Final = 1.7
"""Pixel size of ``lumbar_slabs``, mm (ibid., "about")."""

SagittalWeighting = Literal[Weighting.T1, Weighting.T2]
"""The two weightings that the document treats separately."""

_ROLE: Final = {Weighting.T1: Role.SAGITTAL_T1, Weighting.T2: Role.SAGITTAL_T2_STIR}


def mid_lateral_of(locations_mm: ArrayLike) -> tuple[str, ...]:
    """Return ``mid`` or ``lateral`` for each slice of a stack.

    A slice is Mid if it lies within two and a half slice spacings of the mid-sagittal slice: that slice and two on
    each side, however many there are beyond, since a wider stack only adds lateral slices. Slices closer together than
    any in the document are Mid within the same 8.25 mm. All slices of a stack of five or fewer are Mid.

    Parameters
    ----------
    locations_mm : array-like of shape (n,)
        Slice location n·p of each slice, mm, in any order.

    Returns
    -------
    labels : tuple of str
        Labels in the given order.

    Raises
    ------
    ValueError
        If there is no slice, or a location is not finite.

    Examples
    --------
    >>> labels = mid_lateral_of([4.4 * k for k in range(15)])
    >>> [k + 1 for k, label in enumerate(labels) if label == "mid"]
    [6, 7, 8, 9, 10]
    """
    locations = np.asarray(locations_mm, np.float64)
    if locations.ndim != 1 or locations.size == 0 or not np.isfinite(locations).all():
        msg = f"locations must be a filled row of finite numbers, got {locations.tolist()}"
        raise ValueError(msg)
    steps = np.diff(np.unique(locations))
    step = max(float(np.median(steps)) if steps.size else 0.0, LEAST_STEP_MM)
    middle = (locations.min() + locations.max()) / 2
    # of two slices equally near, the one with the lower location; rounded, so that noise does not decide
    nearest = min(locations, key=lambda one: (round(abs(float(one) - middle), 3), float(one)))
    return tuple(CLASSES[int(abs(float(one) - nearest) <= (NEIGHBOURS + 0.5) * step)] for one in locations)


def read_sagittal_slices(data: Path, *, weighting: SagittalWeighting) -> SampleSet:
    """Read the sagittal slices of one weighting, labelled Mid or Lateral by position.

    Parameters
    ----------
    data : Path
        Either slabs: a folder of pictures for each patient, sorted by name from side to side, 4 mm apart. Or
        studies: ``train_images``, ``01_MRI_Data``, or one folder of DICOM files for each patient.
    weighting : Weighting
        T1 or T2; STIR counts as T2.

    Raises
    ------
    DatasetError
        If neither layout is found, or there is nothing of that weighting.
    """
    if weighting not in _ROLE:
        msg = f"weighting must be T1 or T2, got {weighting}"
        raise ValueError(msg)
    notes: list[str] = []
    if _slabs(data):
        samples = tuple(_of_slabs(data, weighting, notes))
    else:
        samples = tuple(
            sample for one in read_patients(data, notes=notes) for sample in _of_study(one, _ROLE[weighting])
        )
    if not samples:
        msg = f"{data} must hold sagittal {weighting} slices, got none" + "".join(
            f"; {note}" for note in notes[:3]
        )
        raise DatasetError(msg)
    return SampleSet(f"{data.name} sagittal {weighting}", CLASSES, samples, notes=tuple(notes))


def samples_of_volume(
    volume: Volume,
    *,
    patient: str,
    name: str,
    weighting: Weighting | None,
    pictures: Sequence[StoredPicture] = (),
) -> tuple[Sample, ...]:
    """Return the slices of any sagittal volume as samples.

    Parameters
    ----------
    volume : Volume
    patient, name : str
        Patient of the volume, and beginning of the names of its slices.
    weighting : Weighting or None
    pictures : sequence of StoredPicture
        Stored picture of each slice; if not given, slices are decoded now and kept in memory.
    """
    normal = geometry.normal_of(volume.affine)
    corners = geometry.to_patient(volume.affine, [[k, 0, 0] for k in range(volume.shape[0])])
    stored = pictures or [ArrayPicture(one, f"{name}/{k}") for k, one in enumerate(volume.pixels)]
    names = [f"{name}/{k:03d}" for k in range(volume.shape[0])]
    return _labelled(names, stored, corners @ normal, patient=patient, weighting=weighting)


def _labelled(
    names: Sequence[str],
    pictures: Sequence[StoredPicture],
    locations_mm: NDArray[np.float64],
    *,
    patient: str,
    weighting: Weighting | None,
) -> tuple[Sample, ...]:
    labels = mid_lateral_of(locations_mm)
    return tuple(
        Sample(
            name=name,
            picture=picture,
            patient=patient,
            label=label,
            weighting=weighting,
            facts={"place": str(place), "slices": str(len(names)), "location_mm": f"{location:.2f}"},
        )
        for place, (name, picture, label, location) in enumerate(
            zip(names, pictures, labels, locations_mm, strict=True)
        )
    )


def _of_study(one: PatientStudy, role: Role) -> Iterator[Sample]:
    series = one.study.by_role(role)
    if series is None:
        return
    volume = max(series.volumes, key=lambda volume: volume.shape[0])
    stored = [one.stored(series, volume, k) for k in range(volume.shape[0])]
    number = series.uid.rpartition(".")[2]
    yield from samples_of_volume(
        volume,
        patient=one.patient,
        name=f"{one.patient}/{one.study.uid}/{number}",
        weighting=series.weighting,
        pictures=[place.picture for place in stored],
    )


def _slabs(data: Path) -> dict[str, tuple[Path, ...]]:
    folders = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    return {folder.name: pictures for folder in folders if (pictures := pictures_in(folder))}


def _of_slabs(data: Path, weighting: Weighting, notes: list[str]) -> Iterator[Sample]:
    """Yield the slices of the slabs whose fluid looks as in the weighting, which is not recorded anywhere."""
    first_with: dict[str, str] = {}
    untold = []
    for patient, paths in _slabs(data).items():
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
        if digest in first_with:
            notes.append(f"{patient} was left out: its pictures are those of {first_with[digest]}")
            continue
        first_with[digest] = patient
        is_bright = _fluid_is_bright(paths)
        if is_bright is None:
            untold.append(patient)
        elif is_bright is (weighting is Weighting.T2):
            locations = SLAB_STEP_MM * np.arange(len(paths), dtype=np.float64)
            names = [f"{patient}/{path.stem}" for path in paths]
            pictures = [PictureFile(path) for path in paths]
            yield from _labelled(names, pictures, locations, patient=patient, weighting=weighting)
    notes.append("the weighting is not written; T1 or T2 by how bright fluid is in the five middle slices")
    if untold:
        notes.append(
            f"left out, because the brightness of fluid could not be determined: {', '.join(untold)}"
        )


def _fluid_is_bright(paths: Sequence[Path]) -> bool | None:
    first = max(len(paths) // 2 - 2, 0)
    middle = [PictureFile(path).read() for path in paths[first : first + 5]]
    return fluid_signal(middle, (SLAB_PIXEL_MM, SLAB_PIXEL_MM)).is_bright
