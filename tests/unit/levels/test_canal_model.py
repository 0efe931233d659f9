"""The canal model follows its thresholds, and says nothing with too little to go by."""

from __future__ import annotations

import math

import pytest

from stenograde.grades import Measurement
from stenograde.levels.canal_model import CanalModel, Scale
from stenograde.terms import Level, Quantity

MODEL = CanalModel()


def measured(**values: float) -> tuple[Measurement, ...]:
    return tuple(Measurement(Quantity(name), Level.L4_L5, value, ()) for name, value in values.items())


@pytest.mark.parametrize(("name", "scale"), MODEL.scales.items())
def test_each_scale_is_nought_at_moderate_and_one_at_severe(name, scale):
    assert scale.narrowing(scale.moderate) == 0
    assert scale.narrowing(scale.severe) == 1
    assert scale.narrowing(1e6) == -2
    assert scale.narrowing(-1e6) == 2


@pytest.mark.parametrize("arguments", [(10.0, 10.0), (9.0, 10.0), (12.0, 10.0, 0.0), (12.0, 10.0, -1.0)])
def test_a_scale_upside_down_or_without_weight_is_refused(arguments):
    with pytest.raises(ValueError, match="a scale needs moderate > severe and weight > 0"):
        Scale(*arguments)


def test_every_default_scale_names_its_source():
    for scale in MODEL.scales.values():
        assert "10." in scale.source


def test_narrowing_is_the_weighted_mean():
    values = measured(canal_ap_diameter=10.0, canal_ap_ratio=2 / 3)

    assert MODEL.narrowing(values) == pytest.approx((0.5 * 1 + 2 * 0) / 2.5)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"canal_ap_diameter": 3.0},
        {"canal_ap_diameter": 3.0, "csf_signal_ratio": 0.1},
        {"canal_ap_ratio": math.nan, "csf_signal_ratio": 0.1},
        {"disc_height": 3.0, "canal_ap_diameter_above": 4.0},
    ],
)
def test_too_little_to_go_by_is_none(values):
    assert MODEL.narrowing(measured(**values)) is None


def test_enough_weight_without_the_ratio_is_enough():
    values = measured(canal_ap_diameter=12.0, csf_signal_ratio=0.75, dural_sac_area=100.0)

    assert MODEL.narrowing(values) == pytest.approx(0)


def test_a_value_that_is_not_finite_counts_for_nothing():
    known = measured(canal_ap_ratio=0.5, csf_signal_ratio=0.6)

    assert MODEL.narrowing((*known, *measured(dural_sac_area=math.nan))) == MODEL.narrowing(known)


@pytest.mark.parametrize(
    ("narrowing", "most"), [(-1.0, 0), (-0.1, 0), (0.1, 1), (0.5, 1), (0.9, 1), (1.1, 2), (2.0, 2)]
)
def test_the_most_probable_severity_changes_at_the_thresholds(narrowing, most):
    probabilities = MODEL.probabilities(narrowing)

    assert max(range(3), key=probabilities.__getitem__) == most
