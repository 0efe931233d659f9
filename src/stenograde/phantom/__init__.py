"""The lumbar phantom: anatomy with known answers, MR physics, real DICOM."""

from stenograde.phantom.body.patient import LevelTruth, Phantom, make_patient
from stenograde.phantom.body.population import Population, Transition
from stenograde.phantom.body.stenosis import Foramen, severity_of_area, severity_of_recess
from stenograde.phantom.files.cohort import Cohort, CohortConfig, WrittenStudy, write_cohort, write_study
from stenograde.phantom.files.dicom_files import Codec, FileOptions, SliceOrder, StudyIds
from stenograde.phantom.files.habits import Habit
from stenograde.phantom.scanner.acquisition import Protocol, plan_study
from stenograde.phantom.scanner.look import Artefacts, Look
from stenograde.phantom.scanner.protocols import ProtocolMix, draw_protocol
from stenograde.phantom.scanner.render import label_series, render_series
from stenograde.phantom.scanner.sequences import ContrastMode

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
