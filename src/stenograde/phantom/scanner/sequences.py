"""Timing of series: drawn as scanners used it, or from wider ranges for training, or held out for tests."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from stenograde.phantom.body.tissues import SpinEcho, fat_null_ms
from stenograde.terms import Role


class ContrastMode(StrEnum):
    """Mode in which the contrast, texture, noise and coil of a series are drawn."""

    CLINICAL = "clinical"
    """Scanner settings of two published data sets."""
    RANDOMISED = "randomised"
    """Domain randomisation, for training: wide timing, tissue signals jittered or drawn freely."""
    LONG_TE_3T = "3t_long_te"
    """Held out, for tests only: 3 T with echo times that no other mode draws."""


_Row = tuple[float, float, float, int, int]

_T1_ROWS: tuple[_Row, ...] = (
    (1.5, 450, 9.8, 2, 21),
    (1.5, 450, 11.0, 4, 15),
    (1.5, 500, 9.8, 2, 8),
    (1.5, 550, 9.8, 2, 6),
    (1.5, 600, 8.0, 5, 10),
    (1.5, 600, 9.6, 3, 11),
    (1.5, 650, 9.6, 3, 11),
    (1.5, 700, 9.6, 3, 5),
    (3.0, 500, 10.0, 5, 3),
    (3.0, 600, 13.8, 7, 24),
    (3.0, 650, 13.8, 7, 5),
    (3.0, 700, 13.8, 7, 29),
    (3.0, 750, 13.8, 7, 7),
)
_T2_ROWS: tuple[_Row, ...] = (
    (1.5, 1950, 114, 23, 1),
    (1.5, 2750, 80, 27, 10),
    (1.5, 3050, 80, 27, 3),
    (1.5, 3500, 97, 19, 11),
    (1.5, 3500, 114, 17, 16),
    (1.5, 3700, 114, 17, 4),
    (1.5, 3750, 93, 17, 14),
    (1.5, 3900, 106, 19, 12),
    (1.5, 4250, 97, 17, 5),
    (1.5, 5200, 93, 17, 3),
    (3.0, 3300, 106, 19, 1),
    (3.0, 3550, 120, 25, 24),
    (3.0, 3700, 120, 25, 12),
    (3.0, 3850, 120, 25, 19),
    (3.0, 4200, 102, 21, 2),
    (3.0, 4600, 120, 25, 9),
)
"""Field (T), TR and TE (ms), echoes per excitation and number of series: the 155 sagittal T1 and 146 sagittal
T2 turbo spin echoes of SPIDER (van der Graaf et al., Sci Data 2024;11:264, overview.csv), similar ones
merged; its 3D series are left out."""

_SECOND = {
    Role.SAGITTAL_T1: ((330.0, 926.0), (9.2, 12.0), 3),
    Role.SAGITTAL_T2_STIR: ((3190.0, 4000.0), (67.0, 96.0), 16),
}
"""Ranges of TR and TE, ms, and echoes per excitation, at 1.5 T: table 1 of Natalia et al. on
the Sudirman set (Mendeley Data k57fr854j2)."""

_SECOND_SHARE = 0.25
"""Share of clinical 1.5 T series with the second set's timing, by choice."""

_FIELD_SHARE_3T = 0.44
"""Share of SPIDER's sagittal series at 3 T: 136 of 301."""

_STIR = (0.94, 1.04)
"""Range of TI relative to the time at which fat is nulled, as technologists set it."""

_WIDE = {Role.SAGITTAL_T1: ((330.0, 950.0), (7.0, 16.0)), None: ((2200.0, 5600.0), (62.0, 128.0))}
_HELD_OUT = {Role.SAGITTAL_T1: ((960.0, 1150.0), (18.0, 24.0)), None: ((5700.0, 7000.0), (135.0, 165.0))}
"""TR and TE, ms, of the two other modes; no pair of TR and TE can be drawn in both."""


def draw_field(rng: np.random.Generator, mode: ContrastMode) -> float:
    """Draw a field strength, T.

    Parameters
    ----------
    rng : numpy.random.Generator
    mode : ContrastMode
    """
    if mode is ContrastMode.LONG_TE_3T:
        return 3.0
    share = _FIELD_SHARE_3T if mode is ContrastMode.CLINICAL else 0.5
    return 3.0 if rng.random() < share else 1.5


def draw_echo(
    rng: np.random.Generator, role: Role, mode: ContrastMode, *, field_t: float, stir: bool = False
) -> SpinEcho:
    """Draw the timing of a series.

    Parameters
    ----------
    rng : numpy.random.Generator
    role : Role
    mode : ContrastMode
    field_t : float
        1.5 or 3 T.
    stir : bool
        Whether an inversion nulls fat; only for a T2 series.

    Raises
    ------
    ValueError
        If STIR is requested for a T1 series.
    """
    if stir and role is Role.SAGITTAL_T1:
        msg = f"STIR must be a variant of a T2 series, got {role.shown}"
        raise ValueError(msg)
    if mode is ContrastMode.CLINICAL:
        echo = _clinical(rng, role, field_t)
    else:
        wide = _WIDE if mode is ContrastMode.RANDOMISED else _HELD_OUT
        (least, most), (short, long) = wide.get(role, wide[None])
        train = 5 if role is Role.SAGITTAL_T1 else 19
        echo = SpinEcho(_ms(rng, least, most), _ms(rng, short, long), train, field_t=field_t)
    if not stir:
        return echo
    least, most = (share * fat_null_ms(field_t) for share in _STIR)
    return SpinEcho(echo.repetition_ms, 0.55 * echo.echo_ms, 9, _ms(rng, least, most), field_t)


def _ms(rng: np.random.Generator, least: float, most: float) -> float:
    return round(float(rng.uniform(least, most)), 1)


def _clinical(rng: np.random.Generator, role: Role, field_t: float) -> SpinEcho:
    if field_t < 3 and rng.random() < _SECOND_SHARE and role in _SECOND:
        times, echoes, train = _SECOND[role]
        return SpinEcho(_ms(rng, *times), _ms(rng, *echoes), train, field_t=field_t)
    table = _T1_ROWS if role is Role.SAGITTAL_T1 else _T2_ROWS
    rows = [row for row in table if row[0] == field_t]
    shares = np.array([row[4] for row in rows], dtype=np.float64)
    _, repetition, echo, train, _ = rows[int(rng.choice(len(rows), p=shares / shares.sum()))]
    return SpinEcho(repetition + _ms(rng, -25, 25), echo, train, field_t=field_t)
