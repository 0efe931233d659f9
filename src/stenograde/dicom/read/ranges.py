"""Says which numbers of a header no scanner writes; a slice that has one is refused, not graded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stenograde.dicom.read.instances import Instance
from stenograde.errors import UnreadableInstanceError
from stenograde.study import MAX_PIXELS, MAX_POSITION_MM, PIXEL_MM

SLOPES: Final = (1e-9, 1e9)
"""Least and greatest RescaleSlope, without its sign; real ones lie between 0.001 and 100."""

MAX_INTERCEPT_SLOPES: Final = float(1 << 22)
"""Greatest RescaleIntercept, in slopes: beyond it, float32 no longer tells neighbouring values apart."""


def check_place(position_mm: Sequence[float], spacing_mm: Sequence[float], instance: Instance) -> None:
    """Check where the slices of an instance lie, and how large they are.

    Raises
    ------
    UnreadableInstanceError
        If a number is out of range; the message is the reason as a phrase.
    """
    if min(spacing_mm) <= 0:
        msg = f"PixelSpacing must be positive, got {spacing_mm[0]:g} and {spacing_mm[1]:g}"
        raise UnreadableInstanceError(msg)
    least, most = PIXEL_MM
    if not least <= min(spacing_mm) <= max(spacing_mm) <= most:
        msg = f"PixelSpacing must be {least:g} to {most:g} mm, got {spacing_mm[0]:g} and {spacing_mm[1]:g}"
        raise UnreadableInstanceError(msg)
    farthest = max(map(abs, position_mm))
    if farthest > MAX_POSITION_MM:
        msg = f"ImagePositionPatient must be at most {MAX_POSITION_MM:g} mm, got {farthest:g} mm"
        raise UnreadableInstanceError(msg)
    layout = instance.layout
    if layout is not None and max(layout.rows, layout.columns) > MAX_PIXELS:
        msg = f"rows and columns must be at most {MAX_PIXELS}, got {layout.rows} and {layout.columns}"
        raise UnreadableInstanceError(msg)


def check_rescaling(slope: float, intercept: float) -> None:
    """Check the rescaling of a slice.

    Raises
    ------
    UnreadableInstanceError
        If it would leave values that are not finite, or all the same; the message is the reason as a phrase.
    """
    if slope == 0:
        msg = "RescaleSlope must not be zero"
        raise UnreadableInstanceError(msg)
    least, most = SLOPES
    if not least <= abs(slope) <= most:  # written so that NaN is refused
        msg = f"RescaleSlope must be {least:g} to {most:g}, got {slope:g}"
        raise UnreadableInstanceError(msg)
    if not abs(intercept) <= MAX_INTERCEPT_SLOPES * abs(slope):
        msg = f"RescaleIntercept must be at most {MAX_INTERCEPT_SLOPES:g} slopes, got {intercept:g}"
        raise UnreadableInstanceError(msg)


def rescaling_of(instance: Instance) -> tuple[float, float]:
    """Return RescaleSlope and RescaleIntercept; 1 and 0 where they are absent.

    Raises
    ------
    UnreadableInstanceError
        If one is there and is no finite number; the message is the reason as a phrase.
    """
    found = []
    for keyword, usual in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        number = instance.number(keyword)
        if number is None and instance.text(keyword):
            msg = f"{keyword} must be a finite number, got something else"
            raise UnreadableInstanceError(msg)
        found.append(usual if number is None else number)
    return found[0], found[1]
