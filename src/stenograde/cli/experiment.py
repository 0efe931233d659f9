"""``stenograde experiment``: run a published system as a recipe under a protocol; needs the extra ``train``."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stenograde.cli.examples import epilog
from stenograde.cli.settings import DeviceOption, Log, PrecisionOption, Settings, SizeName, changes_asked


class ProtocolName(StrEnum):
    """How to split."""

    PUBLISHED = "published"
    PATIENT = "patient"


class _RecipeFirst(TyperGroup):
    """Takes a first word that is no command for a recipe: ``experiment s1 ...`` is ``experiment run s1 ...``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the words name, and the words left over."""
        known = args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["run", *args])


def build() -> typer.Typer:
    """Return the group of experiment commands."""
    app = typer.Typer(cls=_RecipeFirst, rich_markup_mode=None)
    app.command("list", epilog=epilog("experiment list"))(list_recipes)
    app.command("run", epilog=epilog("experiment run"))(run)
    app.command("held-out", epilog=epilog("experiment held-out"))(held_out)
    app.command("table", epilog=epilog("experiment table"))(table)
    app.command("ship", epilog=epilog("experiment ship"))(ship)
    app.callback(no_args_is_help=True, epilog=epilog("experiment"), invoke_without_command=False)(_group)
    return app


def _group() -> None:
    """Run a published system on data: 'stenograde experiment s1 --data DIR --protocol patient --out DIR'."""


def list_recipes() -> None:
    """List the shipped recipes: document, task, data, protocols."""
    import shutil
    import textwrap

    from stenograde.experiments.recipes.catalogue import PROTOCOLS, entries

    width = max(60, min(110, shutil.get_terminal_size((110, 24)).columns))
    for entry in entries():
        print(f"{entry.name}  {entry.title}")
        rows = {
            "document": entry.document,
            "task": entry.task,
            "data": entry.data,
            "protocols": ", ".join(entry.protocols),
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
    print("size quick (the default): minutes on 2 cores. size published: as in the document")


def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="s0, s1, s2, s3, s3-fusion, s3-spider, s4, axial-canal, or the path of a recipe's TOML file."
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Folder or CSV file; its layout is detected and reported.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the result; a run that was cut short resumes from it.")
    ],
    protocol: Annotated[
        ProtocolName, typer.Option("--protocol", help="Split as the document did, or by patient.")
    ],
    size: Annotated[
        SizeName, typer.Option("--size", help="Small enough for 2 cores, or as published.")
    ] = SizeName.QUICK,
    folds: Annotated[int | None, typer.Option("--folds", help="Number of folds by patient.")] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", help="Number of repeated holdouts.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="File of weights to start from, 'hub' or 'imagenet'; for s3 ENCODER=FILE,ENCODER=hub.",
        ),
    ] = None,
    patient_pattern: Annotated[
        str | None,
        typer.Option(
            "--patient-pattern", help="Regular expression; its first group in a file's name is the patient."
        ),
    ] = None,
    settings: Settings = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    log: Log = None,
) -> None:
    """Train and test a recipe split by split, and write result.json, predictions.csv and report.html."""
    from stenograde.cli.output import out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.experiments.recipes.catalogue import kind_of

    _need_training(several_series=kind_of(recipe) != "network")
    from stenograde.experiments.kinds import Request, read_experiment
    from stenograde.train.loop.tracking import tracked

    changes = changes_asked(settings, device, precision)
    asked = Request(
        recipe, data, protocol.value, size.value, folds, repeats, weights, patient_pattern, changes
    )
    ready = read_experiment(asked)
    if ready.data:
        print(f"data: {ready.data}")
    folder = out_folder(out)
    with progress_on_stderr() as shown, tracked(shown, log, ready.settings, folder) as progress:
        told = ready.run(folder, progress)
    print(told.tables)
    print(f"report: {told.page}")


def held_out(
    result: Annotated[Path, typer.Argument(help="Folder of a result of s3-spider.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of patients that nothing was fitted on.")],
) -> None:
    """Score further patients with the nets of a result, and show the scores beside those by patient."""
    from stenograde.cli.progress import progress_on_stderr

    _need_training(several_series=True)
    from stenograde.experiments.kinds import score_held_out

    with progress_on_stderr() as progress:
        told = score_held_out(result, data, progress)
    print(told.tables)
    print(f"report: {told.page}")


def table(
    results: Annotated[list[Path], typer.Argument(help="Folders of results.")],
) -> None:
    """Set results side by side as a Markdown table: the document, its split here, the split by patient."""
    _need_training()
    from stenograde.experiments.pictures.result import read_result
    from stenograde.experiments.pictures.table import protocols_table

    print(protocols_table([read_result(path) for path in results]))


def ship(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or the path of its TOML file.")],
    data: Annotated[Path, typer.Option("--data", help="Folder or CSV file to train on, all of it.")],
    result: Annotated[Path, typer.Option("--result", help="Result of this recipe by patient, for the card.")],
    name: Annotated[str, typer.Option("--name", help="Name of the bundle.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the bundle; a run that was cut short resumes from it.")
    ],
    size: Annotated[
        SizeName, typer.Option("--size", help="Size at which the result was made.")
    ] = SizeName.QUICK,
    weights: Annotated[
        str | None, typer.Option("--weights", help="What the result's networks started from.")
    ] = None,
    limits: Annotated[str, typer.Option("--limits", help="A paragraph for the card.")] = "",
    licence: Annotated[
        str, typer.Option("--licence", help="Licence of the data, where its reader knows none.")
    ] = "",
    weights_from: Annotated[
        str,
        typer.Option("--weights-from", help="What a file of --weights was pre-trained on, and its licence."),
    ] = "",
    settings: Settings = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
) -> None:
    """Train a recipe on all pictures and write a bundle for 'stenograde classify', with its card."""
    from stenograde import __version__
    from stenograde.cli.output import out_folder
    from stenograde.cli.progress import progress_on_stderr

    _need_training()
    from stenograde.experiments.kinds import start_of
    from stenograde.experiments.pictures.data import Asked, read_data
    from stenograde.experiments.pictures.recipe import read_recipe
    from stenograde.experiments.pictures.result import read_result
    from stenograde.experiments.pictures.ship import Shipping
    from stenograde.experiments.pictures.ship import ship as ship_recipe

    chosen = read_recipe(recipe, size.value, changes_asked(settings, device, precision))
    samples, _ = read_data(chosen.task, Asked(data))
    shipping = Shipping(name, __version__, limits, licence, weights_from)
    start, of_result, folder = start_of(weights), read_result(result), out_folder(out)
    with progress_on_stderr() as progress:
        ship_recipe(chosen, samples, of_result, shipping, out=folder, weights=start, progress=progress)
    print(f"bundle: {out}; use it with 'stenograde classify FOLDER --bundle {out} --out CSV'")


def _need_training(*, several_series: bool = False) -> None:
    from stenograde.cli.output import needs_extra

    with needs_extra("experiments need"):
        import_module("stenograde.experiments.pictures.run")
    if several_series:
        with needs_extra("recipes of several series need", extra="tabular"):
            import_module("stenograde.tabular.balance")
