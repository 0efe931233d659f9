"""``stenograde experiment`` for recipes that take several series: the grid of S3, its fusions, discs of SPIDER."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stenograde.errors import ConfigError

if TYPE_CHECKING:
    from stenograde.experiments.discs.crops import DiscSet
    from stenograde.experiments.discs.recipe import DiscRecipe
    from stenograde.experiments.recipes.catalogue import Kind
    from stenograde.experiments.recipes.read import Size


def run_series(
    kind: Kind, name: str, data: Path, out: Path, *, size: Size, folds: int | None, weights: str | None
) -> None:
    """Run a recipe of a kind that is no single network, print its tables and write its page.

    Raises
    ------
    MissingDependencyError
        If the extra ``tabular`` is not installed.
    """
    _need_tabular()
    if kind == "grid":
        _run_grid(name, data, out, size=size, folds=folds, weights=weights)
    elif kind == "fusion":
        _run_fusion(name, data, out, size=size, folds=folds, weights=weights)
    else:
        _run_discs(name, data, out, size=size, folds=folds)


def start_of(weights: str | None) -> Path | Literal["hub"] | None:
    """Return what ``--weights`` names.

    Raises
    ------
    ConfigError
        If it is no file.
    """
    if weights is None or weights == "hub":
        return weights  # type: ignore[return-value]
    if not Path(weights).is_file():
        msg = f"--weights must be a file or 'hub', got {weights}"
        raise ConfigError(msg)
    return Path(weights)


def starts_of(weights: str | None, encoders: Iterable[str]) -> dict[str, Path | Literal["hub"]]:
    """Return what each encoder starts from, of ``ENCODER=FILE,ENCODER=hub``, or ``hub`` for all.

    Raises
    ------
    ConfigError
        If an encoder is none of the recipe's, or a file is none.
    """
    known = sorted(encoders)
    if weights is None:
        return {}
    if weights == "hub":
        return dict.fromkeys(known, "hub")
    found: dict[str, Path | Literal["hub"]] = {}
    for part in weights.split(","):
        name, _, value = part.partition("=")
        start = start_of(value or None)
        if name not in known or start is None:
            msg = f"--weights must be 'hub' or ENCODER=FILE,ENCODER=hub with encoders {', '.join(known)}, got {part}"
            raise ConfigError(msg)
        found[name] = start
    return found


def score_held_out(result: Path, data: Path) -> None:
    """Score further patients with the nets of a result of discs."""
    _need_tabular()
    from stenograde.cli.progress import counts_on_stderr
    from stenograde.experiments.discs.store import cut_once, read_disc_result

    recipe, discs, bundle = read_disc_result(result)
    with counts_on_stderr() as made:
        further = cut_once(data, bundle, recipe.crops, result / "held-out", made=made)
    _score_discs(recipe, discs, further, result)


def _run_grid(
    name: str, data: Path, out: Path, *, size: Size, folds: int | None, weights: str | None
) -> None:
    from stenograde.cli.output import out_folder
    from stenograde.cli.progress import counts_on_stderr
    from stenograde.experiments.grid.recipe import read_grid
    from stenograde.experiments.grid.run import run_grid
    from stenograde.experiments.grid.table import table_of, write_grid
    from stenograde.workers import n_cores

    grid = read_grid(name, size)
    grid = grid if folds is None else replace(grid, folds=folds)
    starts = starts_of(weights, grid.encoders)
    jobs = n_cores()
    with counts_on_stderr() as report:
        result = run_grid(grid, data, out=out_folder(out), weights=starts, jobs=jobs, report=report)
    _show([table_of(result)], write_grid(result, out))


def _run_fusion(
    name: str, data: Path, out: Path, *, size: Size, folds: int | None, weights: str | None
) -> None:
    from stenograde.cli.output import out_folder
    from stenograde.cli.progress import counts_on_stderr, fits_on_stderr
    from stenograde.experiments.fusion.recipe import read_fusion_recipe
    from stenograde.experiments.fusion.run import read_cohort, run_fusion
    from stenograde.experiments.fusion.table import tables_of, write_fusion
    from stenograde.predict.bundle import bundle_at

    recipe = read_fusion_recipe(name, size)
    recipe = recipe if folds is None else replace(recipe, folds=folds)
    folder = out_folder(out)
    with counts_on_stderr() as made:
        cohort = read_cohort(
            recipe, data, bundle_at(recipe.bundle), out=folder, weights=start_of(weights), made=made
        )
    with fits_on_stderr() as report:
        result = run_fusion(recipe, cohort, out=folder, report=report)
    _show(tables_of(result), write_fusion(result, out))


def _run_discs(name: str, data: Path, out: Path, *, size: Size, folds: int | None) -> None:
    from stenograde.cli.output import out_folder
    from stenograde.cli.progress import counts_on_stderr
    from stenograde.experiments.discs.recipe import read_disc_recipe
    from stenograde.experiments.discs.store import CROPS, cut_once, keep_bundle
    from stenograde.predict.bundle import bundle_at

    recipe = read_disc_recipe(name, size)
    recipe = recipe if folds is None else replace(recipe, folds=folds)
    folder = out_folder(out)
    bundle = keep_bundle(bundle_at(recipe.bundle), folder)
    with counts_on_stderr() as made:
        discs = cut_once(data, bundle, recipe.crops, folder / CROPS, made=made)
    _score_discs(recipe, discs, None, folder)


def _score_discs(recipe: DiscRecipe, discs: DiscSet, held_out: DiscSet | None, out: Path) -> None:
    from stenograde.cli.progress import fits_on_stderr
    from stenograde.experiments.discs.run import run_discs
    from stenograde.experiments.discs.table import tables_of, write_discs

    with fits_on_stderr() as report:
        result = run_discs(recipe, discs, out=out, held_out=held_out, report=report)
    _show(tables_of(result), write_discs(result, out))


def _show(tables: Any, page: Path) -> None:
    from stenograde.experiments.pages.score_tables import as_markdown

    print(as_markdown(tables))
    print(f"report: {page}")


def _need_tabular() -> None:
    from stenograde.cli.output import needs_extra

    with needs_extra("recipes of several series need", extra="tabular"):
        import_module("stenograde.tabular.balance")
