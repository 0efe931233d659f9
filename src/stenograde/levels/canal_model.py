"""Severity of canal stenosis from measurements: an ordinal model that a reader can check by hand.

Each measurement is put on one scale of narrowing, 0 at its published threshold of moderate (relative) and 1
at that of severe (absolute) stenosis. Their weighted mean is the narrowing of the level; two logistic curves,
one through 0 and one through 1, give P(at least moderate) and P(severe) (a proportional-odds model, McCullagh
1980, with thresholds that are published instead of fitted).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from stenograde.grades import Measurement, Probabilities
from stenograde.terms import Quantity


@dataclass(frozen=True)
class Scale:
    """One measurement's thresholds; smaller values are narrower.

    Raises
    ------
    ValueError
        If ``moderate`` is not above ``severe`` or the weight is not positive.
    """

    moderate: float
    severe: float
    weight: float = 1.0
    source: str = ""

    def __post_init__(self) -> None:
        if not self.moderate > self.severe or self.weight <= 0:
            msg = f"a scale needs moderate > severe and weight > 0, got {self.moderate}, {self.severe}, {self.weight}"
            raise ValueError(msg)

    def narrowing(self, value: float) -> float:
        """Return 0 at the moderate and 1 at the severe threshold, linear, held within -2 and 2.

        Examples
        --------
        >>> Scale(12.0, 10.0).narrowing(11.0)
        0.5
        """
        return max(-2.0, min(2.0, (self.moderate - value) / (self.moderate - self.severe)))


@dataclass(frozen=True)
class CanalModel:
    """Thresholds and steepness of the model."""

    diameter_mm: Scale = field(
        default_factory=lambda: Scale(
            12.0,
            10.0,
            0.5,
            "anteroposterior diameter < 12 and < 10 mm: Kalichman et al., 10.1016/j.spinee.2009.03.005 (of the bony "
            "canal; ours is that of its contents, hence half the weight)",
        )
    )
    ratio: Scale = field(
        default_factory=lambda: Scale(
            2 / 3,
            1 / 3,
            2.0,
            "canal narrowed by more than a third and two thirds: Lurie et al., 10.1097/BRS.0b013e3181791af3",
        )
    )
    csf_ratio: Scale = field(
        default_factory=lambda: Scale(
            0.75,
            0.45,
            1.0,
            "fluid around the roots lessened and lost: Schizas et al., "
            "10.1097/BRS.0b013e3181d359bd (grades B/C and C/D); the numbers are ours",
        )
    )
    sac_area_mm2: Scale = field(
        default_factory=lambda: Scale(
            100.0,
            75.0,
            1.0,
            "dural sac area < 100 and < 75 mm2: Schonstrom et al., Spine 1985;10:806-11, as used by Lonne et al., "
            "10.1007/s00586-014-3248-4",
        )
    )
    steepness: float = 4.0
    """Slope of both logistic curves, per unit of narrowing."""
    min_weight: float = 2.0
    """Least total weight of measurements to grade on."""

    @property
    def scales(self) -> dict[Quantity, Scale]:
        """Scales by the quantity that they are for."""
        return {
            Quantity.CANAL_AP_DIAMETER: self.diameter_mm,
            Quantity.CANAL_AP_RATIO: self.ratio,
            Quantity.CSF_SIGNAL_RATIO: self.csf_ratio,
            Quantity.DURAL_SAC_AREA: self.sac_area_mm2,
        }

    def narrowing(self, measurements: tuple[Measurement, ...]) -> float | None:
        """Weighted mean narrowing of one level; None when there is too little to go by."""
        scales = self.scales
        known = [
            (scales[m.quantity], m.value)
            for m in measurements
            if m.quantity in scales and math.isfinite(m.value)
        ]
        weight = sum(scale.weight for scale, _ in known)
        if weight < self.min_weight:
            return None
        return sum(scale.weight * scale.narrowing(value) for scale, value in known) / weight

    def probabilities(self, narrowing: float) -> Probabilities:
        """Return the probabilities of the severities at a narrowing.

        Examples
        --------
        >>> [round(p, 3) for p in CanalModel().probabilities(0.0)]
        [0.5, 0.482, 0.018]
        """
        return graded(narrowing, self.steepness)


def graded(narrowing: float, steepness: float) -> Probabilities:
    """Return probabilities from two logistic curves, through 0 for moderate and through 1 for severe.

    Examples
    --------
    >>> [round(p, 3) for p in graded(1.0, 4.0)]
    [0.018, 0.482, 0.5]
    """
    at_least_moderate, severe = (1 / (1 + math.exp(-steepness * (narrowing - at))) for at in (0.0, 1.0))
    return Probabilities((1 - at_least_moderate, at_least_moderate - severe, severe))
