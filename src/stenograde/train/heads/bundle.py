"""Heads to a bundle: that of a base with a grader, whose answers for some conditions they take over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from stenograde.config import as_plain
from stenograde.errors import ConfigError
from stenograde.evidence import RestsOn
from stenograde.files import whole_file
from stenograde.levels.crop import CropKind
from stenograde.predict.bundle import Bundle
from stenograde.predict.fixed_heads import FixedHeadsEntry, Head
from stenograde.predict.middle_maps import MiddleMapsEntry
from stenograde.terms import Condition
from stenograde.train.grader.bundle import carried_section, evidence_of, records_of_parts
from stenograde.train.grader.crops import CropSet
from stenograde.train.heads.card import card
from stenograde.train.heads.training import FittedHead, HeadsTraining, fit_condition, look_at
from stenograde.train.weights.bundle_toml import weight_file, write_texts
from stenograde.train.weights.middle_maps import export_middle_maps
from stenograde.workers import Progress

OF_GRADER = "grader-"
"""Prefix of the files that record how the base's grader was made."""

_HALVED = ("usual", "spread", "weights")
"""Arrays that are kept in 16 bits."""


def train_heads(
    out: Path,
    config: HeadsTraining,
    crops: CropSet,
    *,
    seed: int,
    base: Bundle,
    progress: Progress | None = None,
    tested: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Fit the heads to crops of phantoms and write a bundle.

    Parameters
    ----------
    out : Path
        Becomes the bundle.
    config : HeadsTraining
    crops : CropSet
        By :func:`stenograde.train.grader.crops.make_crops` with ``config.data``.
    seed : int
        Seed of the phantoms, for the card.
    base : Bundle
        Bundle with a grader; its locator, canal model and grader are taken over.
    progress : callable, optional
    tested : sequence of mapping
        What ``stenograde score --json`` printed of a bundle made before by the same settings, for the card.

    Raises
    ------
    ConfigError
        If the base has no grader, or middle maps of another encoder.
    MissingDependencyError
        If the package of the encoder's weights is not installed.
    """
    if base.table.grader is None:
        msg = (
            f"--base must be a bundle with a grader, which answers where no head does, got {base.table.name!r}; make "
            "one with 'stenograde train grader'"
        )
        raise ConfigError(msg)
    maps = _maps(out, config, base)
    looked = {
        kind: look_at(crops, kind, config, (out, maps), progress) for kind in set(config.reads.values())
    }
    fitted = {
        name: fit_condition(Condition(name), looked[kind], crops, config)
        for name, kind in config.reads.items()
    }
    training = {"patients": len(crops.present), "phantom_seed": seed, **as_plain(config)}
    _write(out, base, maps, _entry(out, config, fitted), training, fitted, tested)
    return out


def _maps(out: Path, config: HeadsTraining, base: Bundle) -> MiddleMapsEntry:
    """Take the frozen encoder of the base, or make it."""
    maps = base.table.middle_maps
    if maps is None:
        return export_middle_maps(out, config.encoder, config.stages)
    if (maps.encoder, maps.stages) != (config.encoder, config.stages):
        wanted, got = (f"stages {has.stages} of {has.encoder}" for has in (config, maps))
        msg = f"--base must have middle maps of {wanted}, got {got}; choose another base or other settings"
        raise ConfigError(msg)
    if (base.folder / maps.onnx.file).resolve() != (out / maps.onnx.file).resolve():
        shutil.copyfile(base.folder / maps.onnx.file, out / maps.onnx.file)
    return maps


def write_heads(path: Path, heads: Mapping[str, Head]) -> None:
    """Write the arrays of heads, by condition, for :func:`~stenograde.predict.fixed_heads.open_fixed_heads`."""
    arrays = {
        f"{name}.{one.name}": np.asarray(
            getattr(head, one.name), np.float16 if one.name in _HALVED else np.float64
        )
        for name, head in heads.items()
        for one in fields(head)
    }
    with whole_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _entry(out: Path, config: HeadsTraining, fitted: Mapping[str, FittedHead]) -> FixedHeadsEntry:
    path = out / "fixed-heads.npz"
    write_heads(path, {name: one.head for name, one in fitted.items()})
    return FixedHeadsEntry(
        heads=weight_file(path),
        reads={name: CropKind(kind) for name, kind in config.reads.items()},
        usual_below={name: one.usual_below for name, one in fitted.items()},
        noise_below={name: one.noise_below for name, one in fitted.items()},
        grid=config.grid,
        crops=config.data.crops,
    )


def _write(
    out: Path,
    base: Bundle,
    maps: MiddleMapsEntry,
    entry: FixedHeadsEntry,
    training: Mapping[str, Any],
    fitted: Mapping[str, FittedHead],
    tested: Sequence[Mapping[str, Any]],
) -> None:
    """Write the table and the texts, beside copies of the base's files."""
    own = {maps.onnx.file, entry.heads.file}
    for file in base.table.weight_files:
        if file.file not in own and (base.folder / file.file).resolve() != (out / file.file).resolve():
            shutil.copyfile(base.folder / file.file, out / file.file)
    # a base that has heads passes on the texts of its grader
    before = OF_GRADER if base.table.fixed is not None else ""
    texts = [(f"{before}{name}", f"{OF_GRADER}{name}") for name in ("card.md", "training.json")]
    texts += [(path.name, path.name) for path in records_of_parts(base)]
    for name, copy in texts:
        (out / copy).write_bytes((base.folder / name).read_bytes())
    evidence = evidence_of(base, tested)
    for condition, one in base.evidence.items():
        if condition.value not in fitted and one.kind is RestsOn.LEARNT:
            evidence[condition] = one  # what the base's grader has learnt from patients stays so
    table = {
        **asdict(base.table),
        "middle_maps": asdict(maps),
        "fixed": asdict(entry),
        "evidence": {condition.value: asdict(one) for condition, one in evidence.items()},
    }
    scores = {name: dict(one.scores) for name, one in fitted.items()}
    made_from = json.loads((out / f"{OF_GRADER}training.json").read_text(encoding="utf-8"))
    made_by = {"base": made_from["base"], "training": training, "out_of_fold": scores}
    write_texts(out, table, card(training, scores, tested, evidence) + carried_section(base), made_by)
