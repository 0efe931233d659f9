"""The lumbar phantom: anatomy with known answers, MR physics, real DICOM."""

from stenograde.datasets.phantom.acquisition import Protocol, plan_study
from stenograde.datasets.phantom.cohort import Cohort, CohortConfig, WrittenStudy, write_cohort, write_study
from stenograde.datasets.phantom.dicom_files import Codec, FileOptions, SliceOrder, StudyIds
from stenograde.datasets.phantom.habits import Habit
from stenograde.datasets.phantom.look import Artefacts, Look
from stenograde.datasets.phantom.patient import LevelTruth, Phantom, make_patient
from stenograde.datasets.phantom.population import Population, Transition
from stenograde.datasets.phantom.protocols import ProtocolMix, draw_protocol
from stenograde.datasets.phantom.render import label_series, render_series
from stenograde.datasets.phantom.sequences import ContrastMode
from stenograde.datasets.phantom.stenosis import Foramen, severity_of_area, severity_of_recess

__all__ = [
    "Artefacts",
    "Codec",
    "Cohort",
    "CohortConfig",
    "ContrastMode",
    "FileOptions",
    "Foramen",
    "Habit",
    "LevelTruth",
    "Look",
    "Phantom",
    "Population",
    "Protocol",
    "ProtocolMix",
    "SliceOrder",
    "StudyIds",
    "Transition",
    "WrittenStudy",
    "draw_protocol",
    "label_series",
    "make_patient",
    "plan_study",
    "render_series",
    "severity_of_area",
    "severity_of_recess",
    "write_cohort",
    "write_study",
]
