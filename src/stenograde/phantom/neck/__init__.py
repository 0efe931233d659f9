"""The cervical phantom: a neck with foramina of known size, and its radiographs as DICOM."""

from stenograde.phantom.neck.cohort import NeckCohort, RegionConfig, WrittenNeck, write_necks
from stenograde.phantom.neck.film import (
    FilmPlan,
    FilmProtocol,
    attenuation,
    plan_film,
    take_film,
)
from stenograde.phantom.neck.foramen import Foramen, severity_of_width
from stenograde.phantom.neck.patient import ForamenTruth, NeckPhantom, make_neck
from stenograde.phantom.neck.population import Narrowed, Population
from stenograde.phantom.neck.views import OBLIQUES, View

__all__ = [
    "OBLIQUES",
    "FilmPlan",
    "FilmProtocol",
    "Foramen",
    "ForamenTruth",
    "Narrowed",
    "NeckCohort",
    "NeckPhantom",
    "Population",
    "RegionConfig",
    "View",
    "WrittenNeck",
    "attenuation",
    "make_neck",
    "plan_film",
    "severity_of_width",
    "take_film",
    "write_necks",
]
