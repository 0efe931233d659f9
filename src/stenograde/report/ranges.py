"""Published normal ranges of what is measured, to be shown beside our values; for orientation only."""

from __future__ import annotations

from dataclasses import dataclass

from stenograde.grades import Measurement
from stenograde.terms import Level, Quantity


@dataclass(frozen=True)
class NormalRange:
    """Values of people without complaints; either end may be open."""

    low: float
    high: float | None = None

    @property
    def shown(self) -> str:
        """Text for people.

        Examples
        --------
        >>> NormalRange(12.0).shown, NormalRange(2 / 3).shown, NormalRange(6.97, 12.08).shown
        ('≥ 12', '≥ 0.67', '7.0–12.1')
        """
        if self.high is not None:
            return f"{self.low:.1f}–{self.high:.1f}"
        return f"≥ {self.low:.2f}" if self.low < 1 else f"≥ {self.low:.0f}"


_DISC_HEIGHT_MM = {
    Level.L1_L2: NormalRange(6.25, 10.99),
    Level.L2_L3: NormalRange(6.97, 12.08),
    Level.L3_L4: NormalRange(7.42, 13.3),
    Level.L4_L5: NormalRange(7.76, 14.57),
    Level.L5_S1: NormalRange(7.11, 13.12),
}

_AT_ALL_LEVELS = {
    Quantity.CANAL_AP_DIAMETER: NormalRange(12.0),
    Quantity.CANAL_AP_RATIO: NormalRange(2 / 3),
    Quantity.DURAL_SAC_AREA: NormalRange(100.0),
}

SOURCES = {
    Quantity.CANAL_AP_DIAMETER: "not narrowed from 12 mm on, set for the bony canal: Kalichman et al. 2009, "
    "doi:10.1016/j.spinee.2009.03.005",
    Quantity.CANAL_AP_RATIO: "narrowed by less than a third: Lurie et al. 2008, doi:10.1097/BRS.0b013e3181791af3",
    Quantity.DURAL_SAC_AREA: "not narrowed from 100 mm² on: Schönström et al., Spine 1985;10:806-11; of 629 healthy "
    "people 10 had less than 80 mm²: Nakashima et al. 2021, doi:10.1097/BRS.0000000000004143",
    Quantity.DISC_HEIGHT: "of 169 people without complaints on MRI: J Orthop Surg Res 2018;13:34, "
    "doi:10.1186/s13018-018-0737-x",
}
"""What each range is, and whose, as a phrase; a quantity that is not here has no published range."""


def normal_range(quantity: Quantity, level: Level | None) -> NormalRange | None:
    """Return the normal range of a quantity at a level; None where none is published."""
    if quantity is Quantity.DISC_HEIGHT:
        return _DISC_HEIGHT_MM.get(level) if level else None
    return _AT_ALL_LEVELS.get(quantity)


def is_outside(measurement: Measurement) -> bool:
    """Say whether a value lies outside its normal range; one without a range, or not measured, does not."""
    known = normal_range(measurement.quantity, measurement.level)
    if known is None:
        return False
    return measurement.value < known.low or (known.high is not None and measurement.value > known.high)
