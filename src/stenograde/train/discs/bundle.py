"""A bundle with findings of discs: that of another with fixed features, heads and what was measured of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from stenograde.config import as_plain
from stenograde.errors import ConfigError
from stenograde.files import keep_settings
from stenograde.grades import PFIRRMANN
from stenograde.levels.disc_crop import DiscCropConfig
from stenograde.predict.bundle import BUNDLE_FILE, Bundle, load_bundle
from stenograde.predict.disc_net import DiscNet, open_disc_net
from stenograde.predict.discs import ABOVE, HEADLINE, SETS, DiscEntry, DiscHead, DiscHeads, write_heads
from stenograde.predict.middle_maps import MiddleMapsEntry, open_middle_maps
from stenograde.report.markdown import with_section
from stenograde.train.discs.features import QUESTIONS, DiscTable, read_disc_table
from stenograde.train.discs.fitting import HeadFit, fit_heads, out_of_fold
from stenograde.train.discs.net import DiscNetFit, fit_disc_net, write_disc_net
from stenograde.train.discs.scoring import Scored, as_rows, as_scores, scored
from stenograde.train.weights.bundle_toml import as_toml, copy_with, versions, weight_file
from stenograde.workers import Progress, within

HEADS: Final = "discs.npz"
"""File of the heads."""

NET: Final = "discs-net.onnx"
"""File of the net's graph."""

FITS: Final = ".disc-nets"
"""Folder of nets that are being fitted, in that of the bundle until it is whole."""

RECORD: Final = "discs-training.json"
"""File of the settings, versions and scores of the training."""

SOURCE: Final = (
    "SPIDER (van der Graaf et al., doi:10.1038/s41597-024-03090-w, CC BY 4.0), one radiologist's gradings"
)
"""The patients that is learnt from."""


@dataclass(frozen=True)
class DiscTraining:
    """How findings of discs are learnt."""

    views: tuple[DiscCropConfig, ...] = (
        DiscCropConfig(),
        DiscCropConfig(pixel_mm=0.25, behind_mm=2.0),
    )
    """Crops that features are taken from: the disc with the canal, and the disc itself in more detail."""
    grid: tuple[int, int] = (5, 5)
    """Rows and columns that the middle maps are pooled to."""
    encoder: str = "tf_efficientnet_lite0"
    stages: tuple[int, ...] = (2, 4)
    """Of a frozen encoder that is made only where the base has none."""
    heads: HeadFit = field(default_factory=HeadFit)
    net: DiscNetFit = field(default_factory=DiscNetFit)
    """Answers beside the heads; the logits of the two are averaged."""
    folds: int = 5
    seed: int = 0


def train_discs(
    data: Path, out: Path, settings: DiscTraining, *, base: Bundle, progress: Progress | None = None
) -> Mapping[str, Scored]:
    """Learn findings of discs and write them into a copy of a bundle.

    Parameters
    ----------
    data : Path
        See :mod:`stenograde.datasets.spider_discs`.
    out : Path
        Becomes the bundle.
    settings : DiscTraining
    base : Bundle
        Its locator finds the discs; its frozen encoder is used where it has one.
    progress : callable, optional

    Returns
    -------
    scores : mapping
        Out of fold by patient, by finding.

    Raises
    ------
    ConfigError
        If ``out`` is the base itself.
    DatasetError
        If the data cannot be read.
    """
    if out.resolve() == base.folder.resolve():
        msg = f"--out must be another folder than the base, got {out} for both"
        raise ConfigError(msg)
    out.mkdir(parents=True, exist_ok=True)
    maps = _middle_maps(out, base, settings)
    session = open_middle_maps(out, maps)
    look = settings.net.view
    table = read_disc_table(
        data, base, (session, maps), settings.views, settings.grid, look=look, progress=progress
    )
    keep_settings(
        out / FITS / "discs.json", {"discs_sha256": table.digest, **as_plain(settings)}, what="nets"
    )
    found = _out_of_fold(table, out, settings, progress)
    entry = _fitted(table, out, settings, found, progress)
    _write(out, base, maps, entry, table, found, settings)
    load_bundle(out)
    shutil.rmtree(out / FITS)
    return found


def _out_of_fold(
    table: DiscTable, out: Path, settings: DiscTraining, progress: Progress | None
) -> dict[str, Scored]:
    """Score heads and net together on patients that had no part in them."""

    def net_of(places: Sequence[int], name: str) -> DiscNet:
        fitted = fit_disc_net(table, places, settings.net, out / FITS / name, within(progress, name))
        graph = out / FITS / f"{name}.onnx"
        entry = write_disc_net(fitted, graph, settings.net.questions, settings.net.view)
        return open_disc_net(out / FITS, entry, tuple(QUESTIONS))

    folds, seed = settings.folds, settings.seed
    said = out_of_fold(table, settings.heads, folds=folds, seed=seed, net_of=net_of, progress=progress)
    return scored(table, said)


def _fitted(
    table: DiscTable,
    out: Path,
    settings: DiscTraining,
    found: Mapping[str, Scored],
    progress: Progress | None,
) -> DiscEntry:
    """Fit heads and net on all discs, and write what they say of the findings that earned it."""
    every = range(len(table))
    kept = [name for name in QUESTIONS if found[PFIRRMANN if name in ABOVE else name].earned]
    places = [tuple(QUESTIONS).index(name) for name in kept]
    write_heads(out / HEADS, _only(fit_heads(table, every, settings.heads), places))
    fitted = fit_disc_net(table, every, settings.net, out / FITS / "net", within(progress, "net"))
    asked = [name for name in settings.net.questions if name in kept]
    net = write_disc_net(fitted, out / NET, asked, settings.net.view) if asked else None
    scores, heads = as_scores(found), weight_file(out / HEADS)
    return DiscEntry(heads, tuple(kept), settings.grid, scores, SOURCE, settings.views, net)


def _middle_maps(out: Path, base: Bundle, settings: DiscTraining) -> MiddleMapsEntry:
    """Take the frozen encoder of the base over, or make one."""
    if base.table.middle_maps is not None:
        entry = base.table.middle_maps
        shutil.copyfile(base.folder / entry.onnx.file, out / entry.onnx.file)
        return entry
    from stenograde.train.weights.middle_maps import export_middle_maps  # noqa: PLC0415 - needs torch

    return export_middle_maps(out, settings.encoder, settings.stages)


def _only(heads: DiscHeads, places: Sequence[int]) -> DiscHeads:
    """Return heads for some questions alone."""
    at = np.asarray(places)
    by_set = {s: DiscHead(one.weights[at], one.of_level[at]) for s, one in heads.by_set.items()}
    return replace(heads, by_set=by_set, shares=heads.shares[:, at])


def _write(
    out: Path,
    base: Bundle,
    maps: MiddleMapsEntry,
    entry: DiscEntry,
    table: DiscTable,
    found: Mapping[str, Scored],
    settings: DiscTraining,
) -> None:
    """Write the files of the base, the table and the card with what is new, and the record of the training."""
    whole = replace(base.table, middle_maps=maps, discs=entry, version=version("stenograde"))
    record = {
        "versions": versions("scikit-learn"),
        "settings": as_plain(settings),
        "base": as_plain(base.stamp),
        "notes": list(table.notes),
        "scores": as_plain(found),
    }
    written = {
        BUNDLE_FILE: as_toml(as_plain(asdict(whole))),
        "card.md": _card(base.card, table, found, settings),
        RECORD: json.dumps(record, indent=1),
    }
    copy_with(base.folder, out, written, kept=(HEADS, NET, maps.onnx.file))


def _card(card: str, table: DiscTable, found: Mapping[str, Scored], settings: DiscTraining) -> str:
    """Return a card with its section on findings of discs, in place of one that it has."""
    head, *rows = as_rows(found)
    lines = ["| " + " | ".join(head) + " |", "| --- " * 2 + "| ---: " * (len(head) - 3) + "| --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    narrowing = next(iter(found.values()))
    losses = "; ".join(
        f"{name.replace('_', ' ')} {one.log_loss['+'.join(SETS[0])]:.3f} ({one.log_loss['level alone']:.3f})"
        for name, one in found.items()
        if one.log_loss
    )
    section = _SECTION.format(
        source=SOURCE,
        discs=len(table),
        patients=len(set(table.patients)),
        tested=narrowing.discs,
        tested_patients=narrowing.patients,
        folds=settings.folds,
        table="\n".join(lines),
        losses=losses,
        encoder=settings.encoder,
    )
    return with_section(card, HEADLINE, section)


_SECTION = """
Learnt from {discs} discs (L1/L2 to L5/S1) of {patients} patients: {source}. Mid-sagittal T1 and T2 (T2 SPACE where
there is no other T2). A disc is found by the locator, cut out upright, and seen by the middle maps of {encoder} with
the frozen weights of ImageNet (Apache-2.0); linear heads with an L2 penalty answer, with heads of their own for T1 and
T2, T2 alone and T1 alone. A small net (two residual encoders from random starts, attention over the series that are
there) answers from the crops themselves, and for narrowing, bulging, Modic change and the Pfirrmann grade the logits of
the two are averaged in equal parts. Both know the level.

Out of fold by patient ({folds} folds; penalty and the cuts of the Pfirrmann grade chosen inside each training part by
inner folds; crop sizes, the weight of T1, the directions kept and that all findings share one penalty were chosen on
these same patients, which moved herniation by up to 0.04 and the others by up to 0.03; which findings the net has half
of the say in was chosen on other folds of them), on the {tested} discs of {tested_patients} patients that both T1 and
T2 show; 95 % intervals over patients. "Level alone" looks at no picture and knows how common a finding is at each
level. What is not certainly better than that is not told.

{table}

Log loss with T1 and T2 (of the level alone): {losses}.

Limits: the gradings are those of one radiologist, and how well two would agree is not known. The slice is one, in the
middle: what lies to its side is in the label, not in the picture. The locator was fitted on slices of these patients,
so it finds discs better here than in new ones. Probabilities mean what they say where findings are as common as among
these patients, who were examined for back pain. Not learnt on STIR: a study without sagittal T2 is answered from T1
alone. Findings on phantoms mean nothing.
"""
