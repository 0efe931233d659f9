"""``stenograde prepare``: make a data set ready for training, as a document describes it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.examples import epilog
from stenograde.cli.output import OutFolder, out_folder, print_table
from stenograde.terms import Condition

if TYPE_CHECKING:
    from stenograde.datasets.preparation import Prepared


class LevelsBy(StrEnum):
    """How the level of an axial slice is found."""

    POINTS = "points"
    CLUSTERS = "clusters"


def build() -> typer.Typer:
    """Return the command group."""
    app = typer.Typer(rich_markup_mode=None)
    app.command("rsna2024", epilog=epilog("prepare rsna2024"))(rsna2024)
    # a callback keeps the group's name in the command even while it has one member only
    app.callback(no_args_is_help=True, epilog=epilog("prepare"))(_group)
    return app


def _group() -> None:
    """Make a data set ready for training."""


def rsna2024(
    data: Annotated[
        Path, typer.Option("--data", help="Cohort in the layout of RSNA 2024, real or of phantoms.")
    ],
    out: OutFolder,
    levels: Annotated[
        LevelsBy,
        typer.Option(
            "--levels",
            help="Name levels by the experts' points, or by k-means (clusters) as the document does.",
        ),
    ] = LevelsBy.POINTS,
    condition: Annotated[
        Condition, typer.Option("--condition", help="Condition whose severity is the label.")
    ] = Condition.SPINAL_CANAL_STENOSIS,
    per_level: Annotated[
        int,
        typer.Option("--per-level", min=1, help="Slices to write for each level and series, nearest first."),
    ] = 1,
) -> None:
    """Write axial T2 slices as PNG, one folder per severity, with manifest.csv.

    Prints class counts before and after balancing, and how well k-means on slice location names the levels.
    """
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.datasets.preparation import PreparationConfig, prepare_rsna2024
    from stenograde.datasets.study_files import patient_folders

    patient_folders(data)  # refused before a folder is made
    config = PreparationConfig(condition=condition, levels=levels.value, per_level=per_level)
    with progress_on_stderr(lines=False) as progress:
        prepared = prepare_rsna2024(data, out_folder(out), config, progress=progress)
    _print(prepared)


def _print(prepared: Prepared) -> None:
    for note in prepared.notes:
        print(f"note: {note}")
    rows = []
    for one in prepared.balance:
        more = f" (of {one.one_more_of}: {one.copies_each + 1})" if one.one_more_of else ""
        rows.append((one.severity.shown, str(one.pictures), f"{one.copies_each}{more}", str(one.balanced)))
    headings = ("class", "pictures", "copies of each", "balanced")
    print_table(headings, rows, title="classes before and after balancing")
    print("copies are made while training, after the split: none are written\n")
    _print_agreement(prepared)
    print(f"studies:  {prepared.studies}")
    print(f"pictures: {sum(one.pictures for one in prepared.balance)}")
    print(f"manifest: {prepared.manifest}")


def _print_agreement(prepared: Prepared) -> None:
    agreement = prepared.agreement
    if not agreement.slices:
        print("levels: no coordinates, so k-means cannot be checked against patient space\n")
        return
    print_table(
        ("level", "pictures written", "slices by points", "of these, same by k-means"),
        [
            (level.shown, str(n), str(agreement.slices[level]), str(agreement.same[level]))
            for level, n in prepared.levels.items()
        ],
        title="levels: k-means on slice location against patient space",
    )
    same, n = sum(agreement.same.values()), sum(agreement.slices.values())
    print(f"k-means agrees with patient space on {same} of {n} slices ({same / n:.0%})")
    print(f"k-means names a level for {agreement.beyond} further slices that are near none")
    if agreement.marked:
        print(
            f"of {agreement.marked} slices on which experts marked a level, k-means agrees "
            f"on {agreement.marked_clusters}, patient space on {agreement.marked_points}"
        )
    print()
