"""Folders of DICOM studies: the patient of each study, and the file of each slice of a volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stenograde.datasets.picture_files import DicomPicture
from stenograde.dicom.read.given_roles import read_roles, rows_of
from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.read.studies import read_studies
from stenograde.errors import ConfigError, DatasetError, StudyError, UnreadableInstanceError
from stenograde.study import Series, Study, Volume
from stenograde.terms import Role
from stenograde.workers import Progress, counted

IMAGE_FOLDERS = ("train_images", "01_MRI_Data")
"""Folders with one folder per patient: in RSNA 2024 and cohorts of phantoms, and in the Sudirman set."""

SERIES_TABLE = "train_series_descriptions.csv"
"""Table of a data set that states the roles of its series."""


@dataclass(frozen=True)
class StoredSlice:
    """File and frame of a slice of a volume."""

    picture: DicomPicture
    instance_number: int | None
    """InstanceNumber; None if absent."""

    @property
    def instance(self) -> str:
        """Name of the file without its ending, with the frame unless it is the first."""
        frame = f"#{self.picture.frame}" if self.picture.frame else ""
        return f"{self.picture.path.stem}{frame}"


@dataclass(frozen=True, eq=False)
class PatientStudy:
    """A study on disk."""

    patient: str
    """Name of the patient's folder."""
    study: Study
    files: Mapping[tuple[str, str], StoredSlice] = field(repr=False)
    """First frame of each file, by SeriesInstanceUID and SOPInstanceUID."""

    def stored(self, series: Series, volume: Volume, slice_: int) -> StoredSlice:
        """Return the file and frame of a slice of a volume."""
        first = self.files[series.uid, volume.sop_instance_uids[slice_]]
        return StoredSlice(DicomPicture(first.picture.path, volume.frames[slice_]), first.instance_number)


def patient_folders(data: Path) -> tuple[Path, ...]:
    """Return the folders of a data set's patients, sorted by name.

    Parameters
    ----------
    data : Path
        Folder with one of :data:`IMAGE_FOLDERS`, or with one folder per patient.

    Raises
    ------
    DatasetError
        If there is no folder of a patient.
    """
    root = next((data / name for name in IMAGE_FOLDERS if (data / name).is_dir()), data)
    folders = tuple(sorted(path for path in root.iterdir() if path.is_dir())) if root.is_dir() else ()
    if not folders:
        msg = f"{data} must hold one folder of DICOM files per patient, got none"
        raise DatasetError(msg)
    return folders


def read_patients(
    data: Path, *, notes: list[str], progress: Progress | None = None
) -> Iterator[PatientStudy]:
    """Yield the studies of a data set, patient by patient.

    Parameters
    ----------
    data : Path
        Folder as for :func:`patient_folders`. If it holds ``train_series_descriptions.csv``, roles are taken from
        there; otherwise from headers and images.
    notes : list of str
        Receives a line for each patient whose study cannot be read.
    progress : callable, optional
        Counts the patients.

    Raises
    ------
    DatasetError
        If there is no folder of a patient, or two hold the same study, so that they are not one per patient.
    """
    folders = patient_folders(data)
    roles = given_roles(data)
    seen: dict[str, str] = {}
    for folder in counted(folders, "studies", len(folders), progress):
        try:
            studies = read_patient(folder, roles_in(folder, roles))
        except (StudyError, ConfigError) as exc:
            notes.append(f"{folder.name} was left out: {exc}")
            studies = ()
        for one in studies:
            if one.study.uid in seen:
                msg = (
                    f"each folder in {folder.parent} must be a patient's, got {seen[one.study.uid]} and "
                    f"{folder.name} with the same study; name the folder above"
                )
                raise DatasetError(msg)
            seen[one.study.uid] = folder.name
            yield one


def given_roles(data: Path) -> dict[str, Role]:
    """Return the roles of series that a data set's table states; nothing without a table."""
    table = data / SERIES_TABLE
    return read_roles(table) if table.is_file() else {}


def roles_in(folder: Path, roles: Mapping[str, Role]) -> dict[str, Role]:
    """Return the rows of a table of roles that are about the folder of one patient."""
    return rows_of(roles, folder.name, (one.name for one in folder.iterdir()))


def read_patient(folder: Path, roles: Mapping[str, Role]) -> tuple[PatientStudy, ...]:
    """Read the studies in the folder of one patient; ``roles`` are its rows of a table, by series.

    Raises
    ------
    StudyError
        If it holds no study that can be read.
    ConfigError
        If the roles name no series of it.
    """
    studies, files = read_studies(folder, roles=roles), _stored_slices(folder)
    return tuple(PatientStudy(folder.name, study, files) for study in studies)


def _stored_slices(folder: Path) -> dict[tuple[str, str], StoredSlice]:
    found: dict[tuple[str, str], StoredSlice] = {}
    for file in find_files(folder):
        if file.member is not None:
            continue
        try:
            instance = read_instance(file)
        except UnreadableInstanceError:
            continue  # read_studies has listed it in Study.unused
        number = instance.number("InstanceNumber")
        key = (instance.series_uid, instance.sop_instance_uid)
        place = StoredSlice(DicomPicture(Path(file.path)), None if number is None else int(number))
        found.setdefault(key, place)
    return found
