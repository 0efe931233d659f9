"""Drawing of protocols: differences between studies in geometry, contrast, series and artefacts."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from stenograde.phantom.scanner.acquisition import Protocol
from stenograde.phantom.scanner.look import Artefacts
from stenograde.phantom.scanner.sequences import ContrastMode
from stenograde.terms import Role

_THICKNESS = ((3.0, 0.1, 100), (4.0, 0.1, 57), (4.0, 0.2, 58))
"""Slice thickness (mm), gap (fraction of it) and number of such sagittal 2D series in SPIDER, rounded."""

_PIXELS = ((0.48, 22), (0.59, 52), (0.625, 126), (0.68, 20), (0.73, 39), (0.88, 33))
"""Stored pixel size (mm) and number of such sagittal 2D series in SPIDER, similar ones merged."""

_COVER_MM = 64.0
"""Smallest width covered by the sagittal slices, which includes both foramina of everyone."""


_NARROW_COVER_MM = (16.0, 32.0)
"""Widths covered by sagittal slices that miss the foramina, which lie 17.5 mm from the midline."""

_SHORT_FIELD_MM = (120.0, 170.0)
"""Fields of view of sagittal slices that miss a level or more; L1 to S1 is about 180 mm long."""


@dataclass(frozen=True)
class ProtocolMix:
    """Mix of protocols of a cohort; each share is a share of studies.

    Raises
    ------
    ValueError
        If a share is outside 0 to 1.
    """

    contrast: ContrastMode = ContrastMode.CLINICAL
    """Mode in which timing, tissue signals, noise and coil are drawn."""
    stir_share: float = 0.15
    """Share with sagittal STIR in place of T2."""
    block_share: float = 0.3
    """Share whose axial slices are one block."""
    several_axial_share: float = 0.17
    """Share with more than one axial series: 333 of RSNA 2024's 1,975 training studies have two to four."""
    missing_share: float = 0.0
    """Share with one series, any of them, left out."""
    short_field_share: float = 0.0
    """Share whose sagittal slices show too little: either they miss the foramina, or some levels."""
    artefact_share: float = 0.1
    """Share with ghosting, with motion, with a flow void; metal a tenth as often. All have chemical shift."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_share") and not 0 <= value <= 1:
                msg = f"{field.name} must be from 0 to 1, got {value}"
                raise ValueError(msg)


def draw_protocol(rng: np.random.Generator, mix: ProtocolMix | ContrastMode) -> Protocol:
    """Draw the protocol of one study.

    Parameters
    ----------
    rng : numpy.random.Generator
    mix : ProtocolMix or ContrastMode
        A mode alone stands for ``ProtocolMix(mode)``.

    Returns
    -------
    protocol : Protocol

    Examples
    --------
    >>> protocol = draw_protocol(np.random.default_rng(3), ContrastMode.RANDOMISED)
    >>> protocol.contrast.value, protocol.step_mm * protocol.sagittal_slices >= 64
    ('randomised', True)
    """
    if isinstance(mix, ContrastMode):
        mix = ProtocolMix(mix)
    thickness, gap = _THICKNESS[_pick(rng, [row[2] for row in _THICKNESS])][:2]
    pixel = _PIXELS[_pick(rng, [row[1] for row in _PIXELS])][0]
    matrix, field = 64 * round(290 / pixel / 64), 0.0
    if mix.contrast is ContrastMode.RANDOMISED:
        thickness, gap = float(rng.uniform(2.5, 5.5)), float(rng.uniform(0.0, 0.3))
        matrix, field = int(rng.choice([256, 320, 384, 448])), float(rng.uniform(240, 330))
    slices = int(np.ceil(_COVER_MM / (thickness * (1 + gap)))) + int(rng.integers(0, 3))
    protocol = Protocol(
        sagittal_matrix=matrix,
        sagittal_field_mm=field or matrix * pixel,
        sagittal_slices=slices,
        axial_matrix=int(rng.choice([256, 320, 384])),
        axial_field_mm=float(rng.uniform(150, 210)),
        axial_slices_per_level=int(rng.integers(3, 7)),
        thickness_mm=thickness,
        gap=gap,
        contrast=mix.contrast,
        stir=bool(rng.random() < mix.stir_share),
        axial_block=bool(rng.random() < mix.block_share),
        axial_series=int(rng.integers(2, 4)) if rng.random() < mix.several_axial_share else 1,
        missing=frozenset({list(Role)[int(rng.integers(len(Role)))]})
        if rng.random() < mix.missing_share
        else frozenset(),
        artefacts=_artefacts(rng, mix),
    )
    return _shortened(protocol, rng) if rng.random() < mix.short_field_share else protocol


def _shortened(protocol: Protocol, rng: np.random.Generator) -> Protocol:
    if rng.random() < 0.5:
        slices = max(1, int(rng.uniform(*_NARROW_COVER_MM) / protocol.step_mm))
        return replace(protocol, sagittal_slices=slices)
    share = float(rng.uniform(*_SHORT_FIELD_MM)) / protocol.sagittal_field_mm
    matrix = round(protocol.sagittal_matrix * share)
    return replace(protocol, sagittal_matrix=matrix, sagittal_field_mm=protocol.sagittal_field_mm * share)


def _pick(rng: np.random.Generator, counts: list[int]) -> int:
    return int(rng.choice(len(counts), p=np.array(counts) / sum(counts)))


def _artefacts(rng: np.random.Generator, mix: ProtocolMix) -> Artefacts:
    happens = rng.random(4) < mix.artefact_share * np.array([1, 1, 1, 0.1])
    return Artefacts(
        ghosting=float(rng.uniform(0.03, 0.12)) if happens[0] else 0.0,
        motion_mm=float(rng.uniform(0.3, 1.5)) if happens[1] else 0.0,
        bandwidth_hz=float(rng.uniform(160, 490)),
        flow_void=float(rng.uniform(0.2, 0.7)) if happens[2] else 0.0,
        metal_levels=int(rng.integers(1, 4)) if happens[3] else 0,
    )
