"""The lumbar phantom: anatomy with known answers, MR physics, real DICOM."""

from stenograde.datasets.phantom.acquisition import Protocol
from stenograde.datasets.phantom.cohort import Cohort, write_cohort
from stenograde.datasets.phantom.dicom_files import FileOptions
from stenograde.datasets.phantom.patient import LevelTruth, Phantom, make_patient
from stenograde.datasets.phantom.population import Population

__all__ = [
    "Cohort",
    "FileOptions",
    "LevelTruth",
    "Phantom",
    "Population",
    "Protocol",
    "make_patient",
    "write_cohort",
]
