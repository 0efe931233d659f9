"""A bundle whose locator calculates in 8 bits: that of another, its graph quantized and compared before it is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from stenograde.config import as_plain
from stenograde.datasets.marked_slice import MarkedSlice
from stenograde.datasets.spider import SpiderSlices
from stenograde.errors import BundleError, ConfigError
from stenograde.nets.locator import LocatorConfig
from stenograde.predict.bundle import BUNDLE_FILE, Bundle, LocatorEntry, load_bundle
from stenograde.predict.looks import Run, on_grid
from stenograde.predict.marks import mark
from stenograde.predict.weight_files import open_graph
from stenograde.report.markdown import markdown_table, with_section
from stenograde.terms import Structure
from stenograde.train.locator.samples import SAME_DISC_MM, disc_instances
from stenograde.train.locator.training import dice
from stenograde.train.weights.bundle_toml import as_toml, copy_with, versions, weight_file
from stenograde.train.weights.export import export_locator, load_locator
from stenograde.train.weights.quantize import quantize
from stenograde.workers import in_threads

EIGHT_BITS = "## The locator in 8 bits"
"""Headline of the card's section."""

STEP = 8
"""Of so many slices one sets the scales of activations and is not compared."""

MOST_LOST = 0.005
"""Mean Dice overlap with the annotation that no structure may lose."""

MOST_APART_MM = 1.0
"""Centres of discs may lie no farther apart than this, mm, but for one in twenty."""


@dataclass(frozen=True)
class Comparison:
    """What a locator in 8 bits says of slices, and the same in 32 bits."""

    slices: int
    dice_before: tuple[float, ...]
    """Mean Dice overlap with the annotation, by structure, in 32 bits."""
    dice_after: tuple[float, ...]
    """The same in 8 bits."""
    alike: tuple[float, ...]
    """Mean Dice overlap of both, by structure."""
    discs: int
    """Discs that both found."""
    discs_lost: int
    """Discs that only one of them found."""
    apart_mm: float
    """Distance of disc centres, 95 of 100 of which are nearer, mm."""

    @property
    def rows(self) -> tuple[tuple[str, str, str, str], ...]:
        """Rows of a table: structure, Dice in 32 and in 8 bits, and of both with each other."""
        columns = zip(Structure, self.dice_before, self.dice_after, self.alike, strict=True)
        return tuple((one.value, f"{a:.3f}", f"{b:.3f}", f"{c:.3f}") for one, a, b, c in columns)

    def check(self) -> None:
        """Check that 8 bits are no worse.

        Raises
        ------
        BundleError
            If a structure lost more than :data:`MOST_LOST`, or centres lie farther apart than :data:`MOST_APART_MM`.
        """
        lost = max(a - b for a, b in zip(self.dice_before, self.dice_after, strict=True))
        if lost > MOST_LOST or self.apart_mm > MOST_APART_MM:
            msg = (
                f"a locator in 8 bits must lose at most {MOST_LOST} of Dice and move disc centres by at most "
                f"{MOST_APART_MM:g} mm, got {lost:.3f} and {self.apart_mm:.1f} mm; keep the bundle in 32 bits"
            )
            raise BundleError(msg)


def quantize_locator(data: SpiderSlices, out: Path, *, base: Bundle, step: int = STEP) -> Comparison:
    """Write a copy of a bundle whose locator calculates in 8 bits.

    Parameters
    ----------
    data : SpiderSlices
        Every ``step``-th slice with masks of all structures, and every one of those without, sets the scales; the other
        masked ones are compared.
    out : Path
    base : Bundle
        Its locator's weights are taken, in whatever numbers its graph calculates.
    step : int

    Raises
    ------
    ConfigError
        If ``out`` is the base itself.
    BundleError
        If too much is lost in 8 bits.
    """
    if out.resolve() == base.folder.resolve():
        msg = f"--out must be another folder than the base, got {out} for both"
        raise ConfigError(msg)
    entry = base.table.locator
    graph = out / entry.onnx.file
    config = config_of(entry)
    scale_by = [*data.space[::step], *data.midsagittal[::step]]
    others = [one for place, one in enumerate(data.space) if place % step]
    with TemporaryDirectory() as scratch:
        exact = (
            Path(scratch) / export_locator(load_locator(entry, base.folder), config, Path(scratch)).onnx.file
        )
        quantized = Path(scratch) / "quantized.onnx"
        quantize(exact, quantized, ({"slices": _given(one, entry)} for one in scale_by))
        found = _compare(run_of(exact), run_of(quantized), others, entry)
        found.check()
        shutil.copyfile(quantized, graph)
    table = replace(base.table, locator=replace(entry, onnx=weight_file(graph)))
    written = {
        BUNDLE_FILE: as_toml(as_plain(asdict(table))),
        "card.md": with_section(base.card, EIGHT_BITS, _section(found)),
        "eight-bits.json": json.dumps(
            {"versions": versions("onnx"), "base": as_plain(base.stamp), "scores": asdict(found)}, indent=1
        ),
    }
    copy_with(base.folder, out, written, kept=(graph.name,))
    load_bundle(out)
    return found


def _given(one: MarkedSlice, entry: LocatorEntry) -> NDArray[np.float32]:
    """Return a slice as a locator is given it, shape (1, 1, rows, columns)."""
    _, fine = on_grid(one.picture, one.spacing_mm, entry.grid_mm)
    padding = [(0, -length % entry.stride) for length in fine.shape]
    return np.pad(fine, padding, mode="constant", constant_values=float(fine.min()))[None, None]


def config_of(entry: LocatorEntry) -> LocatorConfig:
    """Return the shape of a bundle's locator."""
    return LocatorConfig(widths=entry.widths, spacing_mm=entry.grid_mm)


def run_of(graph: Path) -> Run:
    """Return what runs the graph of a locator."""
    session = open_graph(graph)
    return lambda slices: session.run(None, {"slices": slices})[0]


def _compare(before: Run, after: Run, slices: Sequence[MarkedSlice], entry: LocatorEntry) -> Comparison:
    def masks_of(run: Run, one: MarkedSlice) -> NDArray[np.uint8]:
        marks = mark(one.picture[None], one.spacing_mm, run, grid_mm=entry.grid_mm, stride=entry.stride)
        return marks.masks()[0]

    def both(one: MarkedSlice) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return masks_of(before, one), masks_of(after, one)

    known = [one for one in slices if one.mask is not None]
    masks = in_threads(both, known)
    scores = [
        [dice(a, one.mask), dice(b, one.mask), dice(a, b)]
        for one, (a, b) in zip(known, masks, strict=True)
        if one.mask is not None
    ]
    means = np.array([[list(by_structure.values()) for by_structure in one] for one in scores]).mean(axis=0)
    found, lost, apart = 0, 0, []
    for one, (first, second) in zip(known, masks, strict=True):
        theirs, ours = (_centres_mm(mask, one) for mask in (first, second))
        away = np.linalg.norm(theirs[:, None] - ours[None], axis=2)
        nearest = away.min(axis=1, initial=np.inf)
        near = nearest < SAME_DISC_MM
        apart += nearest[near].tolist()
        found += int(near.sum())
        lost += len(theirs) + len(ours) - 2 * int(near.sum())
    before_truth, after_truth, alike = (tuple(one) for one in means.tolist())
    return Comparison(
        len(known), before_truth, after_truth, alike, found, lost, float(np.percentile(apart, 95))
    )


def _centres_mm(mask: NDArray[np.uint8], one: MarkedSlice) -> NDArray[np.float64]:
    """Return the centres of the discs of a mask, shape (n, 2), mm."""
    discs = disc_instances(mask, one.spacing_mm)
    centres = ndimage.center_of_mass(discs > 0, discs, range(1, int(discs.max()) + 1))
    return np.array(centres, float).reshape(-1, 2) * one.spacing_mm


def _section(found: Comparison) -> str:
    head = ("structure", "Dice in 32 bits", "Dice in 8 bits", "of both with each other")
    return (
        "The convolutions of the locator, all but the first and the last, calculate in 8 bits (post-training\n"
        "static quantization, scales from slices of SPIDER; `stenograde train quantize`). Its weights for more\n"
        f"training are as they were. {found.slices} T2 SPACE slices of SPIDER that set no scale; the locator was\n"
        "trained on them, so that only the difference means something:\n\n"
        f"{markdown_table(head, found.rows)}\n\n"
        f"Both found {found.discs} discs, and one of them {found.discs_lost} more; the centres of 95 in 100 lie\n"
        f"no more than {found.apart_mm:.1f} mm apart."
    )
