"""Grades spinal stenosis on imaging studies of the spine, with evidence and honest uncertainty.

Research software: not a medical device.

The names below are loaded when first used, so that ``import stenograde`` is quick and needs neither torch
nor pydicom.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stenograde.dicom.read.studies import read_study
    from stenograde.grades import StudyGrades
    from stenograde.predict.bundle import Bundle, default_bundle, load_bundle
    from stenograde.predict.grade import grade_located, grade_study
    from stenograde.predict.locate import locate_study
    from stenograde.report.as_html import as_html
    from stenograde.report.as_json import as_json
    from stenograde.study import Study

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "stenograde.predict.bundle",
    "Study": "stenograde.study",
    "StudyGrades": "stenograde.grades",
    "as_html": "stenograde.report.as_html",
    "as_json": "stenograde.report.as_json",
    "default_bundle": "stenograde.predict.bundle",
    "grade_located": "stenograde.predict.grade",
    "grade_study": "stenograde.predict.grade",
    "load_bundle": "stenograde.predict.bundle",
    "locate_study": "stenograde.predict.locate",
    "read_study": "stenograde.dicom.read.studies",
}

__all__ = [
    "Bundle",
    "Study",
    "StudyGrades",
    "as_html",
    "as_json",
    "default_bundle",
    "grade_located",
    "grade_study",
    "load_bundle",
    "locate_study",
    "read_study",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'stenograde' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
