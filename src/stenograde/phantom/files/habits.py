"""Vendors' habits in filling in the header of an MR image."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from pydicom.dataset import Dataset

from stenograde.phantom.scanner.acquisition import SeriesPlan
from stenograde.terms import Role


class Habit(StrEnum):
    """Vendor whose habits of filling in headers the files follow."""

    PLAIN = "plain"
    SIEMENS = "siemens"
    """Sequence names, lower-case descriptions, image types M and ND."""
    GE = "ge"
    """Signed pixels of 16 bits, short descriptions."""
    PHILIPS = "philips"
    """Stored values rescaled by a slope."""


def weighting(plan: SeriesPlan) -> str:
    """Return T1, T2 or STIR, as in a series description."""
    if plan.role is Role.SAGITTAL_T1:
        return "T1"
    return "STIR" if plan.echo.inversion_ms else "T2"


def apply_habit(ds: Dataset, plan: SeriesPlan, habit: Habit) -> None:
    """Change a plain header in place to what a vendor's scanners write; Manufacturer still names the phantom.

    Parameters
    ----------
    ds : Dataset
        Data set with pixels.
    plan : SeriesPlan
    habit : Habit
    """
    name, short = weighting(plan), "tra" if plan.role is Role.AXIAL_T2 else "sag"
    if habit is Habit.SIEMENS:
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
        ds.SequenceName = f"*{'tir' if plan.echo.inversion_ms else 'tse'}2d1_{plan.echo.train}"
        ds.SequenceVariant = ["SK", "SP", "OSP"]
        ds.SeriesDescription = f"{name.lower()}_{'tirm' if plan.echo.inversion_ms else 'tse'}_{short}"
        ds.PatientPosition = "HFS"
    elif habit is Habit.GE:
        ds.SeriesDescription = f"{'Ax' if short == 'tra' else 'Sag'} {name}{'' if name == 'STIR' else ' FSE'}"
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, 1
    elif habit is Habit.PHILIPS:
        ds.SeriesDescription = (
            f"{name}W_TSE {short.upper()}" if name != "STIR" else f"STIR_TSE {short.upper()}"
        )
        top = max(int(np.frombuffer(ds.PixelData, "<u2").max()), 1)
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, round(1 + top / 4095, 6), "normalized"
    ds.ProtocolName = ds.SeriesDescription
