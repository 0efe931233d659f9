"""The cervical phantom: a neck with foramina of known size, and its radiographs as DICOM."""

from stenograde.datasets.phantom.cervical.cohort import NeckCohort, RegionConfig, WrittenNeck, write_necks
from stenograde.datasets.phantom.cervical.film import (
    FilmPlan,
    FilmProtocol,
    attenuation,
    plan_film,
    take_film,
)
from stenograde.datasets.phantom.cervical.foramen import Foramen, severity_of_width
from stenograde.datasets.phantom.cervical.patient import ForamenTruth, NeckPhantom, make_neck
from stenograde.datasets.phantom.cervical.population import Narrowed, Population
from stenograde.datasets.phantom.cervical.views import OBLIQUES, View

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
