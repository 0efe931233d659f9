"""Slices of phantoms about foramina or the canal, with the share of each tissue at each pixel, on disk, made once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stenograde.files import keep_settings
from stenograde.levels.rooms import BESIDE_MM, RoomView
from stenograde.phantom import (
    ContrastMode,
    Phantom,
    Population,
    ProtocolMix,
    make_patient,
    plan_study,
    render_series,
)
from stenograde.phantom.body.canal import recess_share
from stenograde.phantom.body.paint import paint
from stenograde.phantom.body.tissues import Tissue
from stenograde.phantom.scanner.acquisition import SeriesPlan, SlicePlane
from stenograde.phantom.scanner.receiver import sample_points
from stenograde.phantom.scanner.render import slab_of
from stenograde.terms import LUMBAR_MRI, Condition, Role, Side
from stenograde.train.made_once import SETTINGS, make_files, protocol_in, settings_of
from stenograde.workers import Progress


class RoomKind(StrEnum):
    """What is looked at."""

    FORAMINA = "foramina"
    """Sagittal T1 about each foramen: the nearest slice and one beside it. Facts: place of the level, rank of the
    severity, slices beside the nearest one."""
    RECESSES = "recesses"
    """The axial slice through each disc, about the canal. Facts: place of the level, height of the left and of the
    right recess, mm."""


_BONES, _DISCS = (
    (Tissue.MARROW, Tissue.SACRAL_MARROW, Tissue.CORTEX),
    (Tissue.ANNULUS, Tissue.WET_NUCLEUS, Tissue.DRY_NUCLEUS),
)

TISSUES: Final = {
    RoomKind.FORAMINA: ((Tissue.FAT,), (Tissue.ROOT,), _BONES, _DISCS),
    RoomKind.RECESSES: ((Tissue.FAT,), (Tissue.ROOT, Tissue.CSF, Tissue.CORD), _BONES, _DISCS),
}
"""What is told apart, in the order of :class:`RoomTissue`; everything else is its last."""

_SALT = 37
"""Keeps these patients apart from those of cohorts and of other trainings with the same seed."""


@dataclass(frozen=True)
class RoomSlicesConfig:
    """Which phantoms, and what is cut out of them."""

    view: RoomView = field(default_factory=lambda: RoomView(size_px=136))
    """What is kept of a slice: more than a net is shown, so that it can be shifted and turned."""
    contrasts: tuple[ContrastMode, ...] = (
        ContrastMode.RANDOMISED,
        ContrastMode.RANDOMISED,
        ContrastMode.CLINICAL,
    )
    """Each patient's contrast is drawn from these, with equal odds."""
    mix: ProtocolMix = field(default_factory=lambda: ProtocolMix(missing_share=0.0))
    population: Population = field(default_factory=Population)
    worse_by: float = 0.8
    """Patients are worse than the population by this many standard deviations."""
    layers: int = 2
    """Planes painted through the thickness of a slice."""
    t1_share: float = 0.3
    """Share of the patients whose axial slices have T1 timing, so that borders are learnt in more than one contrast."""


@dataclass(frozen=True, eq=False)
class RoomSlices:
    """Views of phantoms.

    Parameters
    ----------
    pictures : ndarray of shape (n, rows, columns), float16
    tissues : ndarray of shape (n, tissues, rows, columns), uint8
        Share of each pixel, times 255: tissues but the last, and beside the canal those of the recesses themselves.
    facts : ndarray of shape (n, 3), float64
        See :class:`RoomKind`.
    patients : ndarray of shape (n,), int64
        Number of the patient.
    """

    pictures: NDArray[np.float16]
    tissues: NDArray[np.uint8]
    facts: NDArray[np.float64]
    patients: NDArray[np.int64]

    @property
    def levels(self) -> NDArray[np.int64]:
        """Place of the level of each view."""
        return self.facts[:, 0].astype(np.int64)


def make_room_slices(
    folder: Path,
    kind: RoomKind,
    config: RoomSlicesConfig,
    *,
    patients: int,
    seed: int,
    workers: int = 0,
    progress: Progress | None = None,
) -> RoomSlices:
    """Make the views of phantoms that are still to be made in ``folder``, one file per patient, and read them all.

    Raises
    ------
    ConfigError
        If the folder holds views made by other settings.
    """
    # more patients may be asked for later
    more = {"beside_mm": BESIDE_MM} if kind is RoomKind.RECESSES else {}
    keep_settings(folder / SETTINGS, settings_of(config, kind=kind.value, seed=seed, **more), what="views")
    make = partial(_arrays, kind=kind, config=config, seed=seed)
    files = make_files(folder, patients, make, workers=workers, progress=progress)
    parts = [_stored(file) for file in files]
    pictures, tissues, facts = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return RoomSlices(
        pictures, tissues, facts, np.repeat(np.arange(patients), [len(part[2]) for part in parts])
    )


Views = tuple[NDArray[np.float16], NDArray[np.uint8], NDArray[np.float64]]
"""Pictures, tissues and facts of some views, as :class:`RoomSlices` has them."""


def _arrays(number: int, kind: RoomKind, config: RoomSlicesConfig, seed: int) -> dict[str, NDArray[Any]]:
    return dict(zip(_NAMES, patient_views(number, kind, config, seed=seed), strict=True))


_NAMES = ("pictures", "tissues", "facts")
"""Of the arrays of a file."""


def _stored(file: Path) -> Views:
    with np.load(file) as stored:
        return stored["pictures"], stored["tissues"], stored["facts"]


def patient_views(number: int, kind: RoomKind, config: RoomSlicesConfig, *, seed: int) -> Views:
    """Return the views of one phantom."""
    entropy = [seed, number, _SALT]
    own_seed, protocol_seed, look_seed = np.random.SeedSequence(entropy).generate_state(3)
    phantom = make_patient(int(own_seed), population=config.population.worse(config.worse_by))
    rng = np.random.default_rng(protocol_seed)
    protocol = protocol_in(rng, config.contrasts, config.mix, layers=config.layers)
    plans = plan_study(phantom, protocol)
    look = np.random.default_rng(look_seed)
    wanted = list(_FOUND[kind](phantom, plans, config, look))
    used = {id(one.plane) for one in wanted}
    planes = [plane for plan in plans for plane in plan.planes if id(plane) in used]
    at = {id(plane): place for place, plane in enumerate(planes)}
    # one series, so that its look is the same in all slices
    plan = replace(wanted[0].plan, planes=tuple(planes))
    pictures = render_series(phantom, plan, layers=protocol.layers, rng=look)
    shares = list(tissue_shares(phantom, plan, kind, protocol.layers))
    views, tissues = [], []
    for one in wanted:
        place, spacing = at[id(one.plane)], (one.plane.pixel_mm,) * 2
        cut = partial(config.view.cut, row=one.row, column=one.column, spacing_mm=spacing)
        views.append(cut(pictures[place].astype(np.float32)))
        tissues.append([np.rint(255 * np.clip(cut(share), 0, 1)) for share in shares[place]])
    facts = np.array([one.facts for one in wanted], np.float64)
    return np.array(views, np.float16), np.array(tissues, np.uint8), facts


def tissue_shares(
    phantom: Phantom, plan: SeriesPlan, kind: RoomKind, layers: int
) -> Iterator[NDArray[np.float32]]:
    """Give the share of each of :data:`TISSUES` in the pixels of each slice, shape (tissues, rows, columns).

    Beside the canal the share of the recesses themselves, whatever fills them, comes last.
    """
    marks = np.zeros((len(TISSUES[kind]), len(Tissue)), np.float32)
    for place, parts in enumerate(TISSUES[kind]):
        marks[place, list(parts)] = 1
    n_maps = len(marks) + (kind is RoomKind.RECESSES)
    for plane in plan.planes:
        points, slab = sample_points(phantom, plane), slab_of(phantom, plane, layers)
        shares = paint(phantom.scene, points, marks, texture=0.0, slab=slab)
        if kind is RoomKind.RECESSES:
            free = sum(
                weight * recess_share(phantom.scene, xyz, BESIDE_MM) for xyz, weight in slab.planes(points)
            )
            shares = np.vstack([shares, free])
        yield shares.reshape(n_maps, plane.matrix, plane.matrix)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A view that is to be cut out of a slice."""

    plan: SeriesPlan
    plane: SlicePlane
    row: float
    column: float
    facts: tuple[float, float, float]


Plans = Sequence[SeriesPlan]


def _foramina(
    phantom: Phantom, plans: Plans, _: RoomSlicesConfig, rng: np.random.Generator
) -> Iterator[_Wanted]:
    plan = next(plan for plan in plans if plan.role is Role.SAGITTAL_T1)
    for cell in LUMBAR_MRI.of(Condition.NEURAL_FORAMINAL_NARROWING):
        near = plan.nearest(np.array(phantom.point(cell)))
        if near is None:
            continue
        step = 1 if rng.random() < 1 / len(Side) else -1
        level, rank = LUMBAR_MRI.levels.index(cell.level), phantom.severity(cell).rank
        for beside in (0, step):
            if 0 <= near[0] + beside < len(plan.planes):
                plane = plan.planes[near[0] + beside]
                yield _Wanted(plan, plane, near[1], near[2], (level, rank, beside))


def _recesses(
    phantom: Phantom, plans: Plans, config: RoomSlicesConfig, rng: np.random.Generator
) -> Iterator[_Wanted]:
    t1 = next(plan for plan in plans if plan.role is Role.SAGITTAL_T1)
    is_t1 = rng.random() < config.t1_share
    for level, truth in phantom.levels.items():
        for plan in plans:
            near = plan.nearest(np.array(truth.canal_centre)) if plan.role is Role.AXIAL_T2 else None
            if near is not None:
                timed = replace(plan, echo=t1.echo, look=t1.look) if is_t1 else plan
                left, right = (truth.recess_height_mm[side] for side in (Side.LEFT, Side.RIGHT))
                facts = (LUMBAR_MRI.levels.index(level), left, right)
                yield _Wanted(timed, plan.planes[near[0]], near[1], near[2], facts)
                break


_FOUND = {RoomKind.FORAMINA: _foramina, RoomKind.RECESSES: _recesses}
