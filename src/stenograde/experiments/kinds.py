"""The kinds of experiment in one literal table: what each refuses, and how a recipe of it is read, run and reported.

What only some kinds need, scikit-learn above all, is imported when an experiment of these kinds is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from stenograde.config import NO_CHANGES, Changes, as_plain
from stenograde.errors import ConfigError
from stenograde.experiments.recipes.catalogue import Kind, kind_of
from stenograde.experiments.recipes.read import Size, read_as
from stenograde.workers import Progress, n_cores

if TYPE_CHECKING:
    from stenograde.experiments.discs.crops import DiscSet
    from stenograde.experiments.discs.recipe import DiscRecipe
    from stenograde.experiments.pages.score_tables import ScorePage
    from stenograde.nets.weights import Start


@dataclass(frozen=True)
class Request:
    """What a user asks of an experiment; None where nothing was asked."""

    recipe: str
    """Name of a recipe that ships, or path of a TOML file."""
    data: Path
    protocol: Literal["published", "patient"]
    size: Size = "quick"
    folds: int | None = None
    repeats: int | None = None
    weights: str | None = None
    patient_pattern: str | None = None
    changes: Changes = NO_CHANGES

    def changed_by(self, **asked: int | None) -> Changes:
        """Return the changes with numbers asked for by options of their own, by the setting's dotted name."""
        given = tuple(f"{name}={value}" for name, value in asked.items() if value is not None)
        return replace(self.changes, settings=(*given, *self.changes.settings))


class Told(NamedTuple):
    """What an experiment found."""

    tables: str
    """In Markdown."""
    page: Path


@dataclass(frozen=True)
class Ready:
    """An experiment whose recipe was read; nothing is written yet."""

    run: Callable[[Path, Progress | None], Told]
    """Called with a folder that exists, in which a run that was cut short resumes."""
    data: str = ""
    """How the data were read, in a line; empty where the run reads them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Every setting of the recipe as plain values."""


@dataclass(frozen=True)
class KindOfExperiment:
    """How recipes of one kind are treated."""

    read: Callable[[Request], Ready]
    refuses: tuple[str, ...] = ()
    """Fields of a request that the kind does not take; where there are any, ``protocol`` must be ``patient``."""


def read_experiment(asked: Request) -> Ready:
    """Return an experiment that is ready to run.

    Raises
    ------
    ConfigError
        If there is no such recipe, a setting is wrong, or its kind takes no such request.
    DatasetError
        If the data are read already and are not as they must be.
    """
    kind = KINDS[kind_of(asked.recipe)]
    refused = {f"--{name.replace('_', '-')}": getattr(asked, name) for name in kind.refuses}
    if refused and asked.protocol != "patient":
        refused["--protocol published"] = asked.protocol
    if given := [name for name, value in refused.items() if value is not None]:
        unheard = " nor ".join(refused)
        msg = f"{asked.recipe} takes --protocol patient alone, and neither {unheard}, got {', '.join(given)}"
        raise ConfigError(msg)
    return kind.read(asked)


def score_held_out(result: Path, data: Path, progress: Progress | None) -> Told:
    """Score further patients with the nets of a result of discs."""
    from stenograde.experiments.discs.store import cut_once, read_disc_result

    recipe, discs, bundle, weights = read_disc_result(result)
    further = cut_once(data, bundle, recipe.crops, result / "held-out", progress=progress)
    return _scored_discs(recipe, discs, further, result, start_of(weights), progress)


_BY_WORD: Final[dict[str, Start]] = {"hub": "hub", "imagenet": "imagenet"}
"""Starts that are no file."""


def start_of(weights: str | None) -> Start | None:
    """Return what ``--weights`` names.

    Raises
    ------
    ConfigError
        If it is no file.
    """
    if weights is None or weights in _BY_WORD:
        return None if weights is None else _BY_WORD[weights]
    if not Path(weights).is_file():
        msg = f"--weights must be a file, 'hub' or 'imagenet', got {weights}"
        raise ConfigError(msg)
    return Path(weights)


def starts_of(weights: str | None, encoders: Iterable[str]) -> dict[str, Start]:
    """Return what each encoder starts from, by ``ENCODER=FILE,ENCODER=hub``, or one word for all.

    Raises
    ------
    ConfigError
        If an encoder is none of the recipe's, or a file is none.
    """
    known = sorted(encoders)
    if weights is None:
        return {}
    if weights in _BY_WORD:
        return dict.fromkeys(known, _BY_WORD[weights])
    found: dict[str, Start] = {}
    for part in weights.split(","):
        name, _, value = part.partition("=")
        start = start_of(value or None)
        if name not in known or start is None:
            msg = (
                f"--weights must be 'hub', 'imagenet' or ENCODER=FILE,ENCODER=hub with encoders {', '.join(known)}, "
                f"got {part}"
            )
            raise ConfigError(msg)
        found[name] = start
    return found


def _pictures(asked: Request) -> Ready:
    from stenograde.experiments.pictures.data import Asked, read_data
    from stenograde.experiments.pictures.recipe import read_recipe
    from stenograde.experiments.pictures.result import PAGE
    from stenograde.experiments.pictures.run import run_experiment
    from stenograde.experiments.pictures.table import as_markdown

    repeats = f"protocols.{asked.protocol}.repeats"
    changes = asked.changed_by(**{"protocols.patient.folds": asked.folds, repeats: asked.repeats})
    recipe = read_recipe(asked.recipe, asked.size, changes)
    levels_by = recipe.protocols.published.levels_by if asked.protocol == "published" else "points"
    start = start_of(asked.weights)
    samples, layout = read_data(recipe.task, Asked(asked.data, asked.patient_pattern, levels_by))

    def run(out: Path, progress: Progress | None) -> Told:
        result = run_experiment(
            recipe, samples, asked.protocol, out=out, layout=layout.name, weights=start, progress=progress
        )
        return Told("\n" + as_markdown(result), out / PAGE)

    read = f"{asked.data}, read as {layout.name} ({layout.told_by}): {len(samples)} pictures"
    return Ready(run, read, as_plain(recipe))


def _grid(asked: Request) -> Ready:
    from stenograde.experiments.grid.recipe import GridRecipe
    from stenograde.experiments.grid.run import run_grid
    from stenograde.experiments.grid.table import page_of

    grid = read_as(GridRecipe, asked.recipe, asked.size, asked.changed_by(folds=asked.folds))
    starts = starts_of(asked.weights, grid.encoders)

    def run(out: Path, progress: Progress | None) -> Told:
        result = run_grid(grid, asked.data, out=out, weights=starts, jobs=n_cores(), progress=progress)
        return _told(page_of(result, out), out)

    return Ready(run, settings=as_plain(grid))


def _fusion(asked: Request) -> Ready:
    from stenograde.experiments.fusion.recipe import FusionRecipe
    from stenograde.experiments.fusion.run import read_cohort, run_fusion
    from stenograde.experiments.fusion.table import page_of
    from stenograde.predict.bundle import bundle_at

    recipe = read_as(FusionRecipe, asked.recipe, asked.size, asked.changed_by(folds=asked.folds))
    start, bundle = start_of(asked.weights), bundle_at(recipe.bundle)

    def run(out: Path, progress: Progress | None) -> Told:
        cohort = read_cohort(recipe, asked.data, bundle, out=out, weights=start, progress=progress)
        return _told(page_of(run_fusion(recipe, cohort, out=out, progress=progress)), out)

    return Ready(run, settings=as_plain(recipe))


def _discs(asked: Request) -> Ready:
    from stenograde.experiments.discs.recipe import DiscRecipe
    from stenograde.experiments.discs.store import CROPS, cut_once, keep_bundle
    from stenograde.predict.bundle import bundle_at

    recipe = read_as(DiscRecipe, asked.recipe, asked.size, asked.changed_by(folds=asked.folds))
    found_by, start = bundle_at(recipe.bundle), start_of(asked.weights)
    if start is not None and not recipe.net.frozen:
        msg = (
            f"--weights are for a frozen encoder, got {asked.weights} for a recipe without one; add --set "
            "net.frozen=tf_efficientnet_lite0"
        )
        raise ConfigError(msg)

    def run(out: Path, progress: Progress | None) -> Told:
        bundle = keep_bundle(found_by, out)
        discs = cut_once(asked.data, bundle, recipe.crops, out / CROPS, progress=progress)
        return _scored_discs(recipe, discs, None, out, start, progress)

    return Ready(run, settings=as_plain(recipe))


def _scored_discs(
    recipe: DiscRecipe,
    discs: DiscSet,
    held_out: DiscSet | None,
    out: Path,
    start: Start | None,
    progress: Progress | None,
) -> Told:
    from stenograde.experiments.discs.run import run_discs
    from stenograde.experiments.discs.table import page_of

    result = run_discs(recipe, discs, out=out, held_out=held_out, weights=start, progress=progress)
    return _told(page_of(result), out)


def _told(page: ScorePage, out: Path) -> Told:
    from stenograde.experiments.pages.score_tables import as_markdown, write_tables

    return Told(as_markdown(page), write_tables(page, out))


_PATIENT_ONLY = ("repeats", "patient_pattern")

KINDS: Final[Mapping[Kind, KindOfExperiment]] = {
    "network": KindOfExperiment(_pictures),
    "grid": KindOfExperiment(_grid, _PATIENT_ONLY),
    "fusion": KindOfExperiment(_fusion, _PATIENT_ONLY),
    "discs": KindOfExperiment(_discs, _PATIENT_ONLY),
}
"""Every kind of experiment, by the ``kind`` that its recipes name."""
