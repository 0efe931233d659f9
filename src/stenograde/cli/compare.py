"""``stenograde compare``: two results or two tables of predictions, score by score, with intervals and tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.output import MAX_DRAWS, print_table

LabelsFile = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="CSV",
        help="Labels, laid out as train.csv of RSNA 2024; A and B are then tables of predictions.",
    ),
]


def compare(
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A",
            help="Folder with a result.json or a table of predictions (.csv); with --labels a submission.",
        ),
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another, of the same pictures or studies.")],
    labels: LabelsFile = None,
    draws: Annotated[
        int, typer.Option("--draws", min=1, max=MAX_DRAWS, help="Draws of patients for the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draws.")] = 0,
    json_only: Annotated[
        bool, typer.Option("--json", help="Print the numbers as JSON instead of the table.")
    ] = False,
) -> None:
    """Compare two results picture by picture: which is better, by how much, and whether that may be chance.

    Prints each score of both, their difference with a 95 % interval over patients, DeLong's test of the areas under
    the ROC curves, McNemar's test of the accuracy, and effect sizes.

    With --labels, A and B are tables laid out as submissions to RSNA 2024. Each part of its metric is printed for
    both, with the difference and its 95 % interval, all from the same draws of studies, on the labelled cells that
    both predict.
    """
    asked = {"draws": draws, "seed": seed}
    if labels is None:
        _results(a, b, asked, json_only=json_only)
    else:
        _submissions(a, b, labels, asked, json_only=json_only)


def _results(a: Path, b: Path, asked: Mapping[str, int], *, json_only: bool) -> None:
    from stenograde.config import as_plain
    from stenograde.evaluate.comparison import as_table, compare_predictions, read_result

    found = compare_predictions(read_result(a), read_result(b), **asked)
    if json_only:
        print(json.dumps({"a": str(a), "b": str(b), **asked, **as_plain(found)}, indent=2))
        return
    headings, *rows = as_table(found)
    print_table(headings, rows, title=f"A: {a}\nB: {b}")
    print(f"{found.pictures} pictures of {found.patients} patients; {asked['draws']} draws.")
    if found.unknown_patients:
        print(
            f"the patient of {found.unknown_patients} pictures is unknown: each counts as one patient, so intervals "
            "may be too narrow"
        )


def _submissions(a: Path, b: Path, labels: Path, asked: Mapping[str, int], *, json_only: bool) -> None:
    from stenograde.config import as_plain
    from stenograde.grading.submission import compare_submissions

    found = compare_submissions(labels, a, b, **asked)
    if json_only:
        given = {"labels": str(labels), "a": str(a), "b": str(b)}
        print(json.dumps({**given, **asked, **as_plain(found)}, indent=2))
        return
    rows = [
        (name, f"absent: {found.absent[name]}", "", "")
        if name in found.absent
        else (name, pair.a.shown(), pair.b.shown(), pair.difference.shown(4))
        for name, pair in found.score.items()
    ]
    headings = ("part (less is better)", "A", "B", "A - B (95 % interval)")
    print_table(headings, rows, title=f"A: {a}\nB: {b}\nmetric of RSNA 2024")
    print(
        f"studies: {found.n_studies}, compared cells: {found.compared_cells}, labelled cells that only A predicts: "
        f"{found.only_a}, only B: {found.only_b}; {asked['draws']} draws"
    )
