"""What a study's results become as DICOM objects: joins the grades, what draws them and what wraps them.

DICOM libraries are imported when an object is asked for: they take a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stenograde.dicom.write.kinds import ResultKind
from stenograde.errors import ConfigError
from stenograde.files import regular_bytes
from stenograde.grades import BundleStamp, StudyGrades
from stenograde.grading.drawn_objects import anatomy_object, picture_objects, report_object
from stenograde.study import Study

if TYPE_CHECKING:
    from stenograde.dicom.write.series import Edition
    from stenograde.dicom.write.sources import Sources
    from stenograde.predict.locate import LocatedStudy


@dataclass(frozen=True, eq=False)
class DicomResult:
    """One DICOM object as a file."""

    kind: ResultKind
    file_name: str
    """Never made of what a header says."""
    content: bytes
    """A whole file (PS3.10)."""


@dataclass(frozen=True, eq=False)
class ToWrite:
    """What objects are made of."""

    grades: StudyGrades
    study: Study
    located: LocatedStudy | None
    """Where the anatomy was found; None unless a segmentation is asked for."""
    sources: Sources
    edition: Edition


Writer = Callable[[ToWrite], Iterator[tuple[str, Any]]]
"""Gives each object of one kind with the name of its file."""


def dicom_results(
    grades: StudyGrades,
    located: LocatedStudy | None,
    study: Study,
    kinds: Sequence[ResultKind],
    made_at: datetime,
) -> tuple[DicomResult, ...]:
    """Return the results of a graded study as DICOM objects, each kind once, in the order of kinds.

    Parameters
    ----------
    grades : StudyGrades
    located : LocatedStudy, optional
        Needed for a segmentation.
    study : Study
        Read from DICOM files.
    kinds : sequence of ResultKind
    made_at : datetime
        Told in the objects.

    Raises
    ------
    NoStudyError
        If the study was not read from DICOM files.
    UnreadableInstanceError
        If the header of the source cannot be copied.
    """
    from stenograde.dicom.write.series import Edition, as_file  # noqa: PLC0415
    from stenograde.dicom.write.sources import sources_of  # noqa: PLC0415

    sources = sources_of(study)
    given = ToWrite(grades, study, located, sources, Edition.of(sources, grades.bundle, made_at))
    wanted = (kind for kind in ResultKind if kind in kinds)
    return tuple(
        DicomResult(kind, name, as_file(ds)) for kind in wanted for name, ds in _WRITERS[kind](given)
    )


def not_graded_result(
    reason: str, where: Study | Path, bundle: BundleStamp, made_at: datetime, *, study_uid: str | None = None
) -> tuple[str, DicomResult]:
    """Return the report of a study that could not be graded, with its StudyInstanceUID.

    Parameters
    ----------
    reason : str
        Why, as a phrase.
    where : Study or Path
        The study, or the place from which it could not be read.
    bundle : BundleStamp
    made_at : datetime
    study_uid : str, optional
        StudyInstanceUID of the study at a place, where there are several.

    Raises
    ------
    StudyError
        If no header of it can be read either, or they are of several studies or patients.
    """
    from stenograde.dicom.write.series import Edition, as_file  # noqa: PLC0415
    from stenograde.dicom.write.sources import sources_at, sources_of  # noqa: PLC0415
    from stenograde.dicom.write.sr import not_graded_report  # noqa: PLC0415

    sources = sources_of(where) if isinstance(where, Study) else sources_at(where, study_uid=study_uid)
    ds = not_graded_report(reason, sources, Edition.of(sources, bundle, made_at))
    return sources.study_uid, DicomResult(ResultKind.SR, _SR_FILE, as_file(ds))


def signed_result(results: Path, reader: str, organization: str, at: datetime) -> DicomResult:
    """Return the structured report among the results of a study as a person signs it.

    Parameters
    ----------
    results : Path
        Folder of the results, or the file of the report.
    reader, organization : str
        Who has read it and answers for it, and for whom; told in the object alone.
    at : datetime

    Raises
    ------
    ConfigError
        If there is no report, or DICOM cannot hold a name in its character set.
    UnreadableInstanceError
        If it is none that can be signed.
    """
    from stenograde.dicom.write.signing import Signature, signed_report  # noqa: PLC0415

    signature = Signature(reader, organization, at)
    try:
        content = regular_bytes(results / _SR_FILE if results.is_dir() else results)
    except OSError as exc:
        wanted = f"a folder of 'stenograde grade --dicom sr' or its {_SR_FILE}"
        msg = f"RESULTS must be {wanted}, got {results} ({exc.strerror})"
        raise ConfigError(msg) from exc
    return DicomResult(ResultKind.SR, _SIGNED_FILE, signed_report(content, signature))


def kinds_of(words: str) -> tuple[ResultKind, ...]:
    """Return the kinds that a person asks for, such as ``sr,seg``.

    Raises
    ------
    ConfigError
        If a word is no kind, or none that can be written.

    Examples
    --------
    >>> kinds_of("sr")
    (<ResultKind.SR: 'sr'>,)
    """
    named = [word.strip().lower() for word in words.split(",") if word.strip()]
    known = [kind.value for kind in _WRITERS]
    if not named or set(named) - set(known):
        msg = f"--dicom must name kinds of {', '.join(known)}, separated by commas, got {words!r}"
        raise ConfigError(msg)
    return tuple(dict.fromkeys(map(ResultKind, named)))


_SR_FILE = "sr.dcm"
_SIGNED_FILE = "sr-signed.dcm"

FILES = (_SR_FILE, _SIGNED_FILE, "report.pdf.dcm", "seg.dcm", "pictures-*.dcm")
"""Names of files that objects are written to."""


def _report(given: ToWrite) -> Iterator[tuple[str, Any]]:
    from stenograde.dicom.write.sr import structured_report  # noqa: PLC0415

    yield _SR_FILE, structured_report(given.grades, given.sources, given.edition)


def _pdf(given: ToWrite) -> Iterator[tuple[str, Any]]:
    yield "report.pdf.dcm", report_object(given.grades, given.study, given.sources, given.edition)


def _pictures(given: ToWrite) -> Iterator[tuple[str, Any]]:
    made = picture_objects(given.grades, given.study, given.sources, given.edition)
    for number, ds in enumerate(made, start=1):
        yield f"pictures-{number}.dcm", ds


def _anatomy(given: ToWrite) -> Iterator[tuple[str, Any]]:
    assert given.located is not None, "a segmentation needs what was located"
    yield "seg.dcm", anatomy_object(given.located, given.sources, given.edition)


_WRITERS: Mapping[ResultKind, Writer] = {
    ResultKind.SR: _report,
    ResultKind.PDF: _pdf,
    ResultKind.SC: _pictures,
    ResultKind.SEG: _anatomy,
}
