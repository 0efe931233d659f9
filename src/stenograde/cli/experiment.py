"""``stenograde experiment``: run a published system as a recipe under a protocol; needs the extra ``train``."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from stenograde.errors import ConfigError

if TYPE_CHECKING:
    from stenograde.experiments.discs.recipe import DiscRecipe
    from stenograde.experiments.run import Step


class ProtocolName(StrEnum):
    """How to split."""

    PUBLISHED = "published"
    PATIENT = "patient"


class SizeName(StrEnum):
    """How large to train."""

    QUICK = "quick"
    PUBLISHED = "published"


class _RecipeFirst(TyperGroup):
    """A first word that is no command is a recipe: ``experiment s1 ...`` is ``experiment run s1 ...``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the words name, and the words left over."""
        known = args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["run", *args])


def build() -> typer.Typer:
    """Return the group of experiment commands."""
    app = typer.Typer(cls=_RecipeFirst, rich_markup_mode=None)
    app.command("list")(list_recipes)
    app.command("run")(run)
    app.command("held-out")(held_out)
    app.command("table")(table)
    app.command("ship")(ship)
    app.callback(no_args_is_help=True, invoke_without_command=False)(_group)
    return app


def _group() -> None:
    """Run a published system on data: 'stenograde experiment s1 --data DIR --protocol patient --out DIR'."""


def list_recipes() -> None:
    """Show the recipes that ship: document, task, data, protocols."""
    import shutil
    import textwrap

    from stenograde.experiments.catalogue import PROTOCOLS, entries

    width = max(60, min(110, shutil.get_terminal_size((110, 24)).columns))
    for entry in entries():
        print(f"{entry.name}  {entry.title}")
        rows = {
            "document": entry.document,
            "task": entry.task,
            "data": entry.data,
            "protocols": ", ".join(PROTOCOLS),
        }
        if entry.arms:
            rows["arms"] = "; ".join(entry.arms)
        for name, words in rows.items():
            head = f"    {name:<11}"
            print(
                textwrap.fill(
                    words,
                    width,
                    initial_indent=head,
                    subsequent_indent=" " * len(head),
                    break_on_hyphens=False,
                )
            )
        print()
    for name, words in PROTOCOLS.items():
        print(f"protocol {name}: {words}")
    print("size quick: for 2 cores, minutes; the default. size published: as the document has it")


def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="s0, s1, s2, s3, s3-fusion, s3-spider, s4, axial-canal, or the path of a recipe's TOML file."
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder or CSV file; its layout is found out and said.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the result; a run cut short goes on there.")],
    protocol: Annotated[
        ProtocolName, typer.Option("--protocol", help="As the document split, or by patient.")
    ],
    size: Annotated[SizeName, typer.Option("--size", help="For 2 cores, or as published.")] = SizeName.QUICK,
    folds: Annotated[int | None, typer.Option("--folds", help="Folds by patient.")] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", help="Repeats of holdouts.")] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="File of weights to start from, or 'hub'.")
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(
            "--patient-pattern", help="Regular expression; its first group in a file's name is the patient."
        ),
    ] = None,
) -> None:
    """Train and test a recipe split by split, and write result.json, predictions.csv and report.html."""
    from stenograde.cli.output import out_folder
    from stenograde.cli.progress import fits_on_stderr

    _need_training()
    from stenograde.experiments.catalogue import kind_of

    kind = kind_of(recipe)
    if kind != "network":
        if protocol is not ProtocolName.PATIENT:
            msg = f"--protocol must be patient for {recipe}, got published: what it compares is not split otherwise"
            raise ConfigError(msg)
        if kind == "grid":
            _run_grid(recipe, data, out, size=size, folds=folds, weights=weights)
        elif kind == "fusion":
            _run_fusion(recipe, data, out, size=size, folds=folds, weights=weights)
        else:
            _run_discs(recipe, data, out, size=size, folds=folds)
        return
    from stenograde.experiments.data import Asked, read_data
    from stenograde.experiments.protocols import with_repeats
    from stenograde.experiments.recipe import read_recipe
    from stenograde.experiments.run import run_experiment
    from stenograde.experiments.table import as_markdown

    chosen = with_repeats(read_recipe(recipe, size.value), folds=folds, repeats=repeats)
    levels_by = chosen.protocols.published.levels_by if protocol is ProtocolName.PUBLISHED else "points"
    start = _start(weights)
    samples, layout = read_data(chosen.task, Asked(data, patient_pattern, levels_by))
    print(f"data: {data}, read as {layout.name} ({layout.told_by}): {len(samples)} pictures")
    with fits_on_stderr() as report:

        def watch(step: Step) -> None:
            what = f"{step.arm_number}/{step.arms} {step.arm}, split {step.split}/{step.splits}"
            report(what, step.epochs_done, step.epochs, step.record.loss if step.record else None)

        result = run_experiment(
            chosen,
            samples,
            protocol.value,
            out=out_folder(out),
            layout=layout.name,
            weights=start,
            watch=watch,
        )
    print()
    print(as_markdown(result))
    print(f"report: {out / 'report.html'}")


def held_out(
    result: Annotated[Path, typer.Argument(help="Folder of a result of s3-spider.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of patients that nothing was fitted on.")],
) -> None:
    """Score further patients with the nets of a result, beside what it reached by patient."""
    _need_training()
    from stenograde.experiments.discs.run import recipe_of

    recipe, trained_on = recipe_of(result)
    _score_discs(recipe, trained_on, data, result)


def table(
    results: Annotated[list[Path], typer.Argument(help="Folders of results.")],
) -> None:
    """Set results side by side as a Markdown table: the document, its split here, the split by patient."""
    _need_training()
    from stenograde.experiments.result import read_result
    from stenograde.experiments.table import protocols_table

    print(protocols_table([read_result(path) for path in results]))


def ship(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or the path of its TOML file.")],
    data: Annotated[Path, typer.Option("--data", help="Folder or CSV file to train on, all of it.")],
    result: Annotated[Path, typer.Option("--result", help="Result of this recipe by patient, for the card.")],
    name: Annotated[str, typer.Option("--name", help="Name of the bundle.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; a run cut short goes on there.")],
    size: Annotated[SizeName, typer.Option("--size", help="As the result was made.")] = SizeName.QUICK,
    limits: Annotated[str, typer.Option("--limits", help="A paragraph for the card.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Of the data, where its reader knows none.")] = "",
) -> None:
    """Train a recipe on all pictures and write a bundle for 'stenograde classify', with its card."""
    from stenograde import __version__
    from stenograde.cli.output import out_folder
    from stenograde.cli.progress import fits_on_stderr

    _need_training()
    from stenograde.experiments.data import Asked, read_data
    from stenograde.experiments.recipe import read_recipe
    from stenograde.experiments.result import read_result
    from stenograde.experiments.ship import Shipping
    from stenograde.experiments.ship import ship as ship_recipe

    chosen = read_recipe(recipe, size.value)
    samples, _ = read_data(chosen.task, Asked(data))
    shipping = Shipping(name, __version__, limits, licence)
    with fits_on_stderr() as report:

        def watch(what: str, done: float, epochs: int) -> None:
            report(what, done, epochs, None)

        ship_recipe(chosen, samples, read_result(result), shipping, out=out_folder(out), watch=watch)
    print(f"bundle: {out}; use it with 'stenograde classify FOLDER --bundle {out} --out CSV'")


def _run_grid(
    name: str, data: Path, out: Path, *, size: SizeName, folds: int | None, weights: str | None
) -> None:
    import os
    from dataclasses import replace

    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import counts_on_stderr

    with needs_extra("the grid needs", extra="tabular"):
        from stenograde.experiments.grid.recipe import read_grid
        from stenograde.experiments.grid.run import run_grid
        from stenograde.experiments.grid.table import table_of, write_grid
        from stenograde.experiments.score_tables import as_markdown
    grid = read_grid(name, size.value)
    grid = grid if folds is None else replace(grid, folds=folds)
    starts = {} if weights is None else {"resnet50": _start(weights)}
    with counts_on_stderr() as report:
        result = run_grid(
            grid, data, out=out_folder(out), weights=starts, jobs=os.cpu_count() or 1, report=report
        )
    page = write_grid(result, out)
    print(as_markdown([table_of(result)]))
    print(f"report: {page}")


def _run_fusion(
    name: str, data: Path, out: Path, *, size: SizeName, folds: int | None, weights: str | None
) -> None:
    from dataclasses import replace

    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import counts_on_stderr, fits_on_stderr

    with needs_extra("imputation needs", extra="tabular"):
        from stenograde.experiments.fusion.recipe import read_fusion_recipe
        from stenograde.experiments.fusion.run import run_fusion
        from stenograde.experiments.fusion.table import tables_of, write_fusion
    from stenograde.experiments.score_tables import as_markdown
    from stenograde.predict.bundle import default_bundle, load_bundle

    recipe = read_fusion_recipe(name, size.value)
    recipe = recipe if folds is None else replace(recipe, folds=folds)
    bundle = default_bundle() if recipe.bundle is None else load_bundle(recipe.bundle)
    with counts_on_stderr() as made, fits_on_stderr() as report:
        result = run_fusion(
            recipe, data, bundle, out=out_folder(out), weights=_start(weights), made=made, report=report
        )
    page = write_fusion(result, out)
    print(as_markdown(tables_of(result)))
    print(f"report: {page}")


def _run_discs(name: str, data: Path, out: Path, *, size: SizeName, folds: int | None) -> None:
    from dataclasses import replace

    from stenograde.cli.output import out_folder
    from stenograde.experiments.discs.recipe import read_disc_recipe

    recipe = read_disc_recipe(name, size.value)
    recipe = recipe if folds is None else replace(recipe, folds=folds)
    _score_discs(recipe, data, None, out_folder(out))


def _score_discs(recipe: DiscRecipe, data: Path, held_out: Path | None, out: Path) -> None:
    from stenograde.cli.progress import counts_on_stderr, fits_on_stderr
    from stenograde.experiments.discs.run import cut_once, run_discs
    from stenograde.experiments.discs.table import tables_of, write_discs
    from stenograde.experiments.score_tables import as_markdown
    from stenograde.predict.bundle import default_bundle, load_bundle

    bundle = default_bundle() if recipe.bundle is None else load_bundle(recipe.bundle)
    with counts_on_stderr() as made:
        discs = cut_once(data, bundle, recipe.crops, out / "crops", made=made)
        further = None
        if held_out is not None:
            further = cut_once(held_out, bundle, recipe.crops, out / "held-out", made=made)
    with fits_on_stderr() as report:
        result = run_discs(recipe, discs, out=out, held_out=further, report=report)
    page = write_discs(result, out)
    print(as_markdown(tables_of(result)))
    print(f"report: {page}")


def _start(weights: str | None) -> Any:
    if weights is None or weights == "hub":
        return weights
    if not Path(weights).is_file():
        msg = f"--weights must be a file or 'hub', got {weights}"
        raise ConfigError(msg)
    return Path(weights)


def _need_training() -> None:
    from stenograde.cli.output import needs_extra

    with needs_extra("experiments need"):
        import_module("stenograde.experiments.run")
