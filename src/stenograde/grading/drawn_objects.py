"""What reports draw and the locator marks, wrapped into DICOM: joins both, which know nothing of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stenograde.grades import StudyGrades
from stenograde.study import Study

if TYPE_CHECKING:
    from stenograde.dicom.write.series import Edition
    from stenograde.dicom.write.sources import Sources
    from stenograde.predict.locate import LocatedStudy


def report_object(grades: StudyGrades, study: Study, sources: Sources, edition: Edition) -> Any:
    """Return the report as an Encapsulated PDF (a data set of pydicom); it tells what ``study.examination`` tells.

    Raises
    ------
    UnreadableInstanceError
        If the header of the source cannot be copied.
    """
    from stenograde.dicom.write.pdf import encapsulated_pdf  # noqa: PLC0415  (DICOM and PDF take a second)
    from stenograde.report.as_pdf import as_pdf, title_of  # noqa: PLC0415

    pdf = as_pdf(grades, study, made_on=edition.made_at.date())
    return encapsulated_pdf(pdf, title=title_of(grades), sources=sources, edition=edition)


def picture_objects(grades: StudyGrades, study: Study, sources: Sources, edition: Edition) -> tuple[Any, ...]:
    """Return the key pictures as Secondary Captures, in their order; none where nothing can be shown.

    Raises
    ------
    UnreadableInstanceError
        If the header of the source cannot be copied.
    """
    from stenograde.dicom.write.sc import secondary_captures  # noqa: PLC0415
    from stenograde.report.key_pictures import key_pictures  # noqa: PLC0415

    return secondary_captures(key_pictures(grades, study), sources=sources, edition=edition)


def anatomy_object(located: LocatedStudy, sources: Sources, edition: Edition) -> Any:
    """Return the locator's masks as a Segmentation: vertebrae and discs by level, and the canal.

    Raises
    ------
    UnreadableInstanceError
        If the header of the source cannot be copied.
    """
    from stenograde.dicom.write.seg import Segment, segmentation  # noqa: PLC0415
    from stenograde.levels.named_masks import named_masks  # noqa: PLC0415

    masks = named_masks(located.stack.masks(), located.volume.affine, located.points)
    certain = located.points.chain.certain
    segments = [Segment(one.structure, one.name, is_certain=certain) for one in masks.structures]
    return segmentation(
        located.series.uid, located.volume, masks.numbers, segments, sources=sources, edition=edition
    )
