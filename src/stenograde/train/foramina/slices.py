"""Views of the foramina of phantoms on sagittal T1 with the share of each tissue at each pixel, on disk, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.files import whole_file
from stenograde.levels.foramen_room import ForamenTissue, ForamenView
from stenograde.phantom import (
    ContrastMode,
    Phantom,
    Population,
    ProtocolMix,
    make_patient,
    plan_study,
    render_series,
)
from stenograde.phantom.body.paint import paint
from stenograde.phantom.body.tissues import Tissue
from stenograde.phantom.scanner.acquisition import SeriesPlan
from stenograde.phantom.scanner.receiver import sample_points
from stenograde.phantom.scanner.render import slice_profile
from stenograde.terms import LUMBAR_MRI, Condition, Role, Side
from stenograde.train.made_once import SETTINGS, keep_settings, protocol_in, settings_of
from stenograde.workers import Progress, counted, in_processes

CELLS: Final = LUMBAR_MRI.of(Condition.NEURAL_FORAMINAL_NARROWING)

TISSUES: Final = {
    ForamenTissue.FAT: (Tissue.FAT,),
    ForamenTissue.ROOT: (Tissue.ROOT,),
    ForamenTissue.BONE: (Tissue.MARROW, Tissue.SACRAL_MARROW, Tissue.CORTEX),
    ForamenTissue.DISC: (Tissue.ANNULUS, Tissue.WET_NUCLEUS, Tissue.DRY_NUCLEUS),
}
"""What is told apart; everything else is :attr:`ForamenTissue.OTHER`."""

_SALT = 37
"""Keeps these patients apart from those of cohorts and of other trainings with the same seed."""


@dataclass(frozen=True)
class ForamenSlicesConfig:
    """Which phantoms, and what is cut out of them."""

    view: ForamenView = field(default_factory=lambda: ForamenView(size_px=136))
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


@dataclass(frozen=True, eq=False)
class ForamenSlices:
    """Views of foramina: of each the nearest slice, then the one on a side of it.

    Parameters
    ----------
    pictures : ndarray of shape (n, rows, columns), float16
    tissues : ndarray of shape (n, tissues but the last, rows, columns), uint8
        Share of each pixel, times 255.
    levels, ranks, beside, patients : ndarray of shape (n,), int64
        Place of the level; rank of the severity; slices beside the nearest one; number of the patient.
    """

    pictures: NDArray[np.float16]
    tissues: NDArray[np.uint8]
    levels: NDArray[np.int64]
    ranks: NDArray[np.int64]
    beside: NDArray[np.int64]
    patients: NDArray[np.int64]


def make_foramen_slices(
    folder: Path,
    config: ForamenSlicesConfig,
    *,
    patients: int,
    seed: int,
    workers: int = 0,
    progress: Progress | None = None,
) -> ForamenSlices:
    """Make the views of phantoms that are still to be made in ``folder``, one file per patient, and read them all.

    Raises
    ------
    ConfigError
        If the folder holds views made by other settings.
    """
    # more patients may be asked for later
    keep_settings(folder / SETTINGS, settings_of(config, seed=seed), what="views")
    files = [folder / f"{number}.npz" for number in range(patients)]
    missing = [number for number, file in enumerate(files) if not file.is_file()]
    made = in_processes(partial(patient_views, config=config, seed=seed), missing, workers)
    all_made = zip(missing, made, strict=True)
    for number, arrays in counted(all_made, "phantoms", patients, progress, before=patients - len(missing)):
        with whole_file(files[number]) as file:
            np.savez_compressed(file, pictures=arrays[0], tissues=arrays[1], facts=arrays[2])
    parts = [_stored(file) for file in files]
    pictures, tissues, facts = (np.concatenate([part[k] for part in parts]) for k in range(3))
    owners = np.repeat(np.arange(patients), [len(part[2]) for part in parts])
    return ForamenSlices(pictures, tissues, facts[:, 0], facts[:, 1], facts[:, 2], owners)


def _stored(file: Path) -> tuple[NDArray[np.float16], NDArray[np.uint8], NDArray[np.int64]]:
    with np.load(file) as stored:
        return stored["pictures"], stored["tissues"], stored["facts"]


def patient_views(
    number: int, config: ForamenSlicesConfig, *, seed: int
) -> tuple[NDArray[np.float16], NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures, tissues and facts (level, rank, slices beside) of the foramina of one phantom."""
    entropy = [seed, number, _SALT]
    own_seed, protocol_seed, look_seed = np.random.SeedSequence(entropy).generate_state(3)
    phantom = make_patient(int(own_seed), population=config.population.worse(config.worse_by))
    rng = np.random.default_rng(protocol_seed)
    protocol = protocol_in(rng, config.contrasts, config.mix, layers=config.layers)
    plan = next(plan for plan in plan_study(phantom, protocol) if plan.role is Role.SAGITTAL_T1)
    look = np.random.default_rng(look_seed)
    wanted = list(_wanted(phantom, plan, look))
    slices = sorted({one.slice for one in wanted})
    chosen = replace(plan, planes=tuple(plan.planes[k] for k in slices))
    pictures = dict(
        zip(slices, render_series(phantom, chosen, layers=protocol.layers, rng=look), strict=True)
    )
    shares = dict(zip(slices, tissue_shares(phantom, chosen, protocol.layers), strict=True))
    spacing = (plan.planes[0].pixel_mm,) * 2
    views, tissues = [], []
    for one in wanted:
        cut = partial(config.view.cut, row=one.row, column=one.column, spacing_mm=spacing)
        views.append(cut(pictures[one.slice].astype(np.float32)))
        tissues.append([np.rint(255 * np.clip(cut(share), 0, 1)) for share in shares[one.slice]])
    facts = [
        (LUMBAR_MRI.levels.index(CELLS[one.cell].level), phantom.severity(CELLS[one.cell]).rank, one.beside)
        for one in wanted
    ]
    return np.array(views, np.float16), np.array(tissues, np.uint8), np.array(facts, np.int64)


def tissue_shares(phantom: Phantom, plan: SeriesPlan, layers: int) -> Iterator[NDArray[np.float32]]:
    """Give the share of each of :data:`TISSUES` in the pixels of each slice, shape (tissues, rows, columns)."""
    marks = np.zeros((len(TISSUES), len(Tissue)), np.float32)
    for place, parts in TISSUES.items():
        marks[place, list(parts)] = 1
    for plane in plan.planes:
        total = np.zeros((len(TISSUES), plane.matrix**2), np.float32)
        for depth, weight in zip(*slice_profile(layers), strict=True):
            points = sample_points(phantom, plane, float(depth) * plane.thickness_mm)
            total += np.float32(weight) * paint(phantom.scene, points, marks, texture=0.0).signal
        yield total.reshape(len(TISSUES), plane.matrix, plane.matrix)


@dataclass(frozen=True)
class _Wanted:
    """A view that is to be cut."""

    cell: int
    slice: int
    row: float
    column: float
    beside: int


def _wanted(phantom: Phantom, plan: SeriesPlan, rng: np.random.Generator) -> Iterator[_Wanted]:
    for number, cell in enumerate(CELLS):
        near = plan.nearest(np.array(phantom.point(cell)))
        if near is None:
            continue
        nearest, row, column = near
        step = 1 if rng.random() < 1 / len(Side) else -1
        for beside in (0, step):
            if 0 <= nearest + beside < len(plan.planes):
                yield _Wanted(number, nearest + beside, row, column, beside)
