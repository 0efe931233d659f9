"""Tissues and their spin echo signals at 1.5 and 3 T."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np

from stenograde.images.lattice import Grid


class Tissue(IntEnum):
    """Tissue at a point of the phantom."""

    AIR = 0
    FAT = auto()
    MARROW = auto()
    SACRAL_MARROW = auto()
    CORTEX = auto()
    MUSCLE = auto()
    LIGAMENT = auto()
    ANNULUS = auto()
    WET_NUCLEUS = auto()
    DRY_NUCLEUS = auto()
    CSF = auto()
    CORD = auto()
    ROOT = auto()
    VEIN = auto()
    FLOWING_BLOOD = auto()
    BOWEL = auto()
    SKIN = auto()


_RELAXATION = {
    Tissue.AIR: (0.0, 1000.0, 50.0, 1000.0, 50.0),
    Tissue.FAT: (0.95, 290.0, 120.0, 370.0, 105.0),
    Tissue.MARROW: (0.80, 520.0, 100.0, 560.0, 92.0),
    Tissue.SACRAL_MARROW: (0.80, 470.0, 105.0, 515.0, 96.0),
    Tissue.CORTEX: (0.25, 700.0, 12.0, 850.0, 10.0),
    Tissue.MUSCLE: (0.80, 1000.0, 44.0, 1410.0, 42.0),
    Tissue.LIGAMENT: (0.62, 850.0, 27.0, 1020.0, 25.0),
    Tissue.ANNULUS: (0.60, 950.0, 40.0, 1110.0, 37.0),
    Tissue.WET_NUCLEUS: (0.85, 1300.0, 115.0, 1510.0, 105.0),
    Tissue.DRY_NUCLEUS: (0.72, 1000.0, 55.0, 1170.0, 50.0),
    Tissue.CSF: (1.00, 4000.0, 1400.0, 4000.0, 1200.0),
    Tissue.CORD: (0.80, 950.0, 85.0, 1130.0, 82.0),
    Tissue.ROOT: (0.74, 1000.0, 70.0, 1200.0, 67.0),
    Tissue.VEIN: (0.80, 1250.0, 130.0, 1600.0, 110.0),
    Tissue.FLOWING_BLOOD: (0.08, 1300.0, 80.0, 1700.0, 70.0),
    Tissue.BOWEL: (0.75, 900.0, 75.0, 1080.0, 70.0),
    Tissue.SKIN: (0.60, 800.0, 35.0, 960.0, 32.0),
}
"""Proton density (share of water); T1 and effective T2 in an echo train, ms, at 1.5 T; the same at 3 T.

Muscle and cord follow Stanisz et al., Magn Reson Med 2005;54:507 (muscle T1 1008 and 1412 ms at 1.5 and 3 T),
fat Gold et al., AJR 2004;183:343 (T1 288 and 371 ms), marrow of the lumbar bodies de Bazelaire et al.,
Radiology 2004;230:652 (T1 549 and 586 ms); the T1 of fluid does not change with the field (Rooney et al., Magn
Reson Med 2007;57:308). Fat's T2, and marrow's with it, is longer, as in fast spin echo (Henkelman et al., J Magn
Reson Imaging 1992;2:533). The rest is not measured but set so that the contrast resembles clinical
images; from 1.5 to 3 T its T1 grows by about a fifth and its T2 shrinks by about a tenth, as in those four.
"""

FAT_SHARE = {
    Tissue.FAT: 1.0,
    Tissue.MARROW: 0.4,
    Tissue.SACRAL_MARROW: 0.45,
    Tissue.SKIN: 0.2,
    Tissue.MUSCLE: 0.03,
}
"""Share of a tissue's protons that belong to fat: STIR nulls them and chemical shift displaces them.

Lumbar marrow holds 30 to 50 % fat, more with age (Kugel et al., J Magn Reson Imaging 2001;13:263).
"""

_WATER_MS = {Tissue.MARROW: (900.0, 50.0), Tissue.SACRAL_MARROW: (880.0, 50.0)}
"""T1 and T2 of the water in a fatty tissue, ms, by eye, so that STIR leaves marrow dark grey."""

FIELDS_T = (1.5, 3.0)
"""Field strengths for which relaxation times are known."""


def fat_null_ms(field_t: float) -> float:
    """Return the inversion time at which fat gives no signal when TR is long: T1 ln 2, ms.

    Parameters
    ----------
    field_t : float
        1.5 or 3 T.

    Examples
    --------
    >>> round(fat_null_ms(1.5))
    201
    """
    return float(_RELAXATION[Tissue.FAT][1 if field_t < FIELDS_T[1] else 3] * np.log(2))


@dataclass(frozen=True)
class SpinEcho:
    """Timing of a spin echo.

    Raises
    ------
    ValueError
        If a time is not above zero, the field is not one of :data:`FIELDS_T`, or TI is not below TR.
    """

    repetition_ms: float
    """TR."""
    echo_ms: float
    """TE, effective."""
    train: int = 1
    """Echoes per excitation."""
    inversion_ms: float | None = None
    """TI of an inversion recovery (STIR); None without one."""
    field_t: float = 1.5
    """Field strength, T."""

    def __post_init__(self) -> None:
        if self.repetition_ms <= 0 or self.echo_ms <= 0 or self.train < 1:
            msg = f"spin echo must have times above zero, got TR {self.repetition_ms}, TE {self.echo_ms} ms"
            raise ValueError(msg)
        if self.inversion_ms is not None and not 0 < self.inversion_ms < self.repetition_ms:
            msg = f"TI must be above 0 and below TR, got TI {self.inversion_ms}, TR {self.repetition_ms} ms"
            raise ValueError(msg)
        if self.field_t not in FIELDS_T:
            msg = f"field must be one of {FIELDS_T} T, got {self.field_t}"
            raise ValueError(msg)

    def signals(self) -> Grid:
        """Return the signal of each tissue, shape (n_tissues,).

        PD (1 - exp(-TR/T1)) exp(-TE/T2), and with an inversion PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)
        (Bernstein et al., Handbook of MRI Pulse Sequences, 2004, sections 14.2 and 16.1). After an
        inversion, water and fat of a fatty tissue recover separately.

        Examples
        --------
        >>> t2 = SpinEcho(3600, 110).signals()
        >>> bool(t2[Tissue.CSF] > t2[Tissue.MARROW] > t2[Tissue.MUSCLE])
        True
        >>> t1 = SpinEcho(550, 11).signals()
        >>> bool(t1[Tissue.FAT] > t1[Tissue.MARROW] > t1[Tissue.CSF])
        True
        >>> stir = SpinEcho(4000, 60, inversion_ms=200).signals()
        >>> bool(stir[Tissue.FAT] < 0.2 * stir[Tissue.MUSCLE])
        True
        """
        table = np.array([_RELAXATION[tissue] for tissue in Tissue])
        density, (t1, t2) = table[:, 0], (table[:, 1:3] if self.field_t < FIELDS_T[1] else table[:, 3:5]).T
        signal = density * self._grown(t1) * np.exp(-self.echo_ms / t2)
        if self.inversion_ms is not None:
            for tissue, (water_t1, water_t2) in _WATER_MS.items():
                water = self._grown(np.array(water_t1)) * np.exp(-self.echo_ms / water_t2)
                share = FAT_SHARE[tissue]
                signal[tissue] = density[tissue] * (1 - share) * water + share * signal[Tissue.FAT]
        return np.asarray(signal, dtype=np.float32)

    def _grown(self, t1_ms: Grid) -> Grid:
        """Longitudinal magnetisation at the 90° pulse, as a fraction of its equilibrium."""
        left = np.exp(-self.repetition_ms / t1_ms)
        if self.inversion_ms is None:
            return np.asarray(1 - left)
        return np.abs(1 - 2 * np.exp(-self.inversion_ms / t1_ms) + left)


def with_marrow_fat(signals: Grid, share: float) -> Grid:
    """Return signals for marrow with another fat fraction than in the table, the remainder being like muscle.

    Parameters
    ----------
    signals : ndarray of shape (n_tissues,)
    share : float
        Fat fraction of the marrow; the table's is in :data:`FAT_SHARE`.
    """
    out = signals.copy()
    for tissue in (Tissue.MARROW, Tissue.SACRAL_MARROW):
        more = share - FAT_SHARE[Tissue.MARROW]
        out[tissue] += more * (signals[Tissue.FAT] - signals[Tissue.MUSCLE])
    out[1:] = np.maximum(out[1:], np.float32(0.01) * signals.max())
    return out
