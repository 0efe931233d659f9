"""The neck phantom, with known answers: width and position of each foramen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stenograde.phantom.body.curve import Array
from stenograde.phantom.neck.anatomy import LEFT_SIGN, NeckAnatomy, Where, draw_anatomy
from stenograde.phantom.neck.foramen import severity_of_width
from stenograde.phantom.neck.population import Narrowed, Population
from stenograde.phantom.neck.soft_tissue import (
    body_volume,
    head_pivot,
    head_volume,
    spine_volume,
)
from stenograde.phantom.neck.volume import Volume
from stenograde.terms import CERVICAL_XRAY, Cell, Level, Severity, Side

_OTHER = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}


@dataclass(frozen=True)
class ForamenTruth:
    """True position and measurements of one foramen; mild and moderate narrowing may differ very little."""

    level: Level
    side: Side
    centre: tuple[float, float, float]
    """Body frame, mm: x to the left, y to the back, z up, origin in the disc C4/C5."""
    width_mm: float
    """Width where the root passes."""
    height_mm: float
    area_mm2: float
    open_area_mm2: float
    """Area without spurs."""
    narrowing: float
    """Fraction of the width that spurs take, 0 to 1."""
    severity: Severity
    """Severity of the width, by :func:`stenograde.phantom.neck.foramen.severity_of_width`."""


@dataclass(frozen=True, eq=False)
class NeckPhantom:
    """A neck phantom.

    Parameters
    ----------
    seed : int
    anatomy : NeckAnatomy
        Anatomy as drawn, before any mirroring.
    is_mirrored : bool
        Whether left and right are exchanged.
    """

    seed: int
    anatomy: NeckAnatomy
    is_mirrored: bool = False

    def mirrored(self) -> NeckPhantom:
        """Return the same phantom with left and right exchanged."""
        return NeckPhantom(self.seed, self.anatomy, not self.is_mirrored)

    @cached_property
    def foramina(self) -> Mapping[Where, ForamenTruth]:
        """True position and measurements of each foramen."""
        return {(level, side): self._truth(level, side) for level in CERVICAL_XRAY.levels for side in Side}

    def severity(self, cell: Cell) -> Severity:
        """Return the severity of a cell of the cervical scheme.

        Raises
        ------
        ValueError
            If the cell has no side or is not cervical.
        """
        if cell.side is None or (cell.level, cell.side) not in self.foramina:
            msg = f"cell must be a foramen from C2/C3 to C7/T1, got {cell.name}"
            raise ValueError(msg)
        return self.foramina[cell.level, cell.side].severity

    @cached_property
    def spine(self) -> Volume:
        """Bones and airway near the spine, as excess attenuation over muscle."""
        return self._seen(spine_volume(self.anatomy))

    @cached_property
    def body(self) -> Volume:
        """Neck and shoulders."""
        return self._seen(body_volume(self.anatomy))

    @cached_property
    def head(self) -> Volume:
        """Skull and face, looking straight ahead."""
        return self._seen(head_volume(self.anatomy))

    @cached_property
    def head_pivot_mm(self) -> Array:
        """Point about which the head rotates, body frame."""
        return self._flip * head_pivot(self.anatomy)

    @property
    def _flip(self) -> Array:
        return np.array([-1.0 if self.is_mirrored else 1.0, 1.0, 1.0])

    def _seen(self, volume: Volume) -> Volume:
        return volume.mirrored() if self.is_mirrored else volume

    def _truth(self, level: Level, side: Side) -> ForamenTruth:
        drawn = self.anatomy.foramina[level, _OTHER[side] if self.is_mirrored else side]
        x, y, z = (self._flip * drawn.centre_mm).tolist()
        assert np.sign(x) == LEFT_SIGN[side]
        shape = drawn.shape
        return ForamenTruth(
            level=level,
            side=side,
            centre=(x, y, z),
            width_mm=shape.width_mm,
            height_mm=shape.height_mm,
            area_mm2=shape.area_mm2,
            open_area_mm2=shape.open_area_mm2,
            narrowing=shape.narrowing,
            severity=severity_of_width(level, shape.width_mm),
        )


def make_neck(
    seed: int,
    *,
    foramina: Mapping[Where, Narrowed] | None = None,
    population: Population | None = None,
) -> NeckPhantom:
    """Make a neck phantom.

    Parameters
    ----------
    seed : int
        The same seed gives the same phantom.
    foramina : mapping, optional
        Narrowing of chosen foramina; the others are drawn.
    population : Population, optional
        Population that the phantom is drawn from.

    Raises
    ------
    ValueError
        If the seed is negative or a level is not cervical.

    Examples
    --------
    >>> narrow = Narrowed(Severity.SEVERE, 0.5)
    >>> neck = make_neck(7, foramina={(Level.C5_C6, Side.LEFT): narrow})
    >>> neck.foramina[Level.C5_C6, Side.LEFT].severity.shown
    'Severe'
    """
    if seed < 0:
        msg = f"seed must be zero or more, got {seed}"
        raise ValueError(msg)
    strange = [level.shown for level, _ in foramina or {} if level not in CERVICAL_XRAY.levels]
    if strange:
        msg = f"levels of a cervical phantom must be C2/C3 to C7/T1, got {', '.join(strange)}"
        raise ValueError(msg)
    rng = np.random.default_rng([seed, 0])
    population = population or Population()
    wear = population.draw_wear(rng) | dict(foramina or {})
    return NeckPhantom(seed, draw_anatomy(rng, wear, population))
