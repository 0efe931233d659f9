"""Values stand beside the range that is published for them at their level."""

from __future__ import annotations

import math

import pytest

from stenograde.grades import Measurement
from stenograde.report.ranges import SOURCES, is_outside, normal_range
from stenograde.terms import LUMBAR_MRI, Level, Quantity


@pytest.mark.parametrize(
    ("quantity", "level", "value", "outside"),
    [
        (Quantity.CANAL_AP_DIAMETER, Level.L4_L5, 11.9, True),
        (Quantity.CANAL_AP_DIAMETER, Level.L4_L5, 22.0, False),
        (Quantity.CANAL_AP_RATIO, Level.L4_L5, 0.667, False),
        (Quantity.DURAL_SAC_AREA, Level.L4_L5, 99.0, True),
        (Quantity.DISC_HEIGHT, Level.L1_L2, 11.5, True),
        (Quantity.DISC_HEIGHT, Level.L4_L5, 11.5, False),
        (Quantity.DISC_HEIGHT, Level.L4_L5, math.nan, False),
        (Quantity.CSF_SIGNAL_RATIO, Level.L4_L5, 0.1, False),
    ],
)
def test_value_is_outside_only_of_a_published_range(
    quantity: Quantity, level: Level, value: float, outside: bool
) -> None:
    assert is_outside(Measurement(quantity, level, value, ())) is outside


def test_every_range_has_a_source() -> None:
    with_range = {one for one in Quantity if any(normal_range(one, level) for level in LUMBAR_MRI.levels)}
    assert with_range == set(SOURCES)
    assert all("doi:" in source for source in SOURCES.values())
    assert normal_range(Quantity.DISC_HEIGHT, None) is None
