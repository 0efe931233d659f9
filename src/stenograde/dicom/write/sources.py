"""The instances that a study was read from, so that objects made from it can name and copy what they rest on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID

from stenograde.dicom.read.instances import Instance, walk_header
from stenograde.dicom.read.opening import find_files
from stenograde.dicom.read.studies import StudyPath
from stenograde.dicom.read.tolerant import read_dataset, recorded_warnings
from stenograde.dicom.write.origin import origin_of
from stenograde.errors import NoStudyError, SeveralStudiesError, UnreadableInstanceError
from stenograde.study import Study

_NO_IMAGES: Final = ("SR", "DOC", "OT", "SEG", "PR", "KO", "REG", "RWV")
"""Modalities of what is made of images, by us and by others."""


@dataclass(frozen=True, eq=False)
class Sources:
    """Instances of one study; what is written names them.

    Raises
    ------
    NoStudyError
        If there are none.
    """

    study_uid: str
    instances: tuple[Instance, ...]

    def __post_init__(self) -> None:
        if not self.instances:
            msg = (
                f"study {self.study_uid} must have been read from DICOM files for DICOM objects to be made of it, "
                "got none"
            )
            raise NoStudyError(msg)

    @cached_property
    def _by_uid(self) -> Mapping[tuple[str, str], Instance]:
        found: dict[tuple[str, str], Instance] = {}
        for one in self.instances:
            found.setdefault((one.series_uid, one.sop_instance_uid), one)
            found.setdefault(("", one.sop_instance_uid), one)
        return found

    def of(self, sop_instance_uid: str, series_uid: str = "") -> Instance:
        """Return an instance; its series is needed only where SOPInstanceUIDs are used twice.

        Raises
        ------
        UnreadableInstanceError
            If the study has no such instance.
        """
        try:
            return self._by_uid[series_uid, sop_instance_uid]
        except KeyError as exc:
            msg = f"instance must be one that the study was read from, got {sop_instance_uid}"
            raise UnreadableInstanceError(msg) from exc

    def origin(self) -> Dataset:
        """Return a fresh copy of what every object shares with its source: patient, study, frame of reference.

        Raises
        ------
        UnreadableInstanceError
            See :func:`stenograde.dicom.write.origin.origin_of`.
        """
        return origin_of(self.instances[0])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the instances' UIDs, whatever their order: it changes when images are added."""
        uids = sorted({f"{one.series_uid} {one.sop_instance_uid}" for one in self.instances})
        return hashlib.sha256("\n".join(uids).encode()).hexdigest()


def header_of(instance: Instance) -> Dataset:
    """Return the whole header of an instance, read again, without its pixels.

    Raises
    ------
    UnreadableInstanceError
        If it cannot be parsed; the message is the reason as a phrase.
    """
    with recorded_warnings():
        return read_dataset(instance.file.whole(), stop_before_pixels=True)[0]


def sop_class_of(instance: Instance) -> str:
    """Return the SOPClassUID, else the one in the file meta information; empty when absent."""
    return instance.text("SOPClassUID") or instance.text("MediaStorageSOPClassUID")


def is_multiframe(instance: Instance) -> bool:
    """Return whether references to an instance must say which of its frames (PS3.3 10.3)."""
    n_frames = instance.number("NumberOfFrames")
    return n_frames is not None and n_frames > 1


def sources_of(study: Study) -> Sources:
    """Return the instances that the volumes of a study were stacked from, in the order of its series and slices.

    Raises
    ------
    NoStudyError
        If it was not read from DICOM files.
    """
    found: dict[Instance, None] = {}
    for _, volume in study.volumes():
        found.update(dict.fromkeys(getattr(volume.source, "instances", ())))
    return Sources(study.uid, tuple(found))


def sources_at(path: StudyPath, *, study_uid: str | None = None) -> Sources:
    """Return the images of the one study at a path whose headers can be read, whatever their pixels are worth.

    For a study that cannot be read or graded, so that a report can say so within it.

    Parameters
    ----------
    path : path or sequence of paths
        As of :func:`stenograde.dicom.read.studies.read_study`.
    study_uid : str, optional
        StudyInstanceUID of the study, where there are several.

    Raises
    ------
    NoStudyError
        If there is no such study.
    SeveralStudiesError
        If there are several and none is chosen, or several patients share its UID.
    """
    found: dict[str, list[Instance]] = {}
    for instance in filter(None, map(walk_header, find_files(path))):
        if _can_be_named(instance) and study_uid in {None, instance.study_uid}:
            found.setdefault(instance.study_uid, []).append(instance)
    if len(found) > 1:
        msg = f"headers must be of one study, got {len(found)} studies; choose one"
        raise SeveralStudiesError(msg)
    uid, instances = next(iter(found.items()), (study_uid or "of unknown UID", []))
    if len({one.text("PatientID") for one in instances} - {""}) > 1:
        msg = f"one study must be of one patient, got several under StudyInstanceUID {uid}"
        raise SeveralStudiesError(msg)
    return Sources(uid, tuple(instances))


def _can_be_named(instance: Instance) -> bool:
    """Whether it is an image, and has the UIDs by which another object can name it."""
    needed = (
        instance.study_uid,
        instance.series_uid,
        instance.sop_instance_uid,
        sop_class_of(instance),
    )
    return instance.text("Modality") not in _NO_IMAGES and all(uid and UID(uid).is_valid for uid in needed)
