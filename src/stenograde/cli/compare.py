"""``stenograde compare``: two results of the same pictures, score by score, with intervals and tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.output import MAX_DRAWS


def compare(
    result_a: Annotated[Path, typer.Argument(metavar="RESULT_A", help="Folder with a result.json.")],
    result_b: Annotated[
        Path, typer.Argument(metavar="RESULT_B", help="Another such folder, of the same pictures.")
    ],
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
    """
    from stenograde.cli.output import print_table
    from stenograde.config import as_plain
    from stenograde.evaluate.comparison import as_table, compare_predictions, read_result

    found = compare_predictions(read_result(result_a), read_result(result_b), draws=draws, seed=seed)
    if json_only:
        numbers = {"a": str(result_a), "b": str(result_b), "draws": draws, "seed": seed, **as_plain(found)}
        print(json.dumps(numbers, indent=2))
        return
    headings, *rows = as_table(found)
    print_table(headings, rows, title=f"A: {result_a}\nB: {result_b}")
    print(f"{found.pictures} pictures of {found.patients} patients; {draws} draws.")
    if found.unknown_patients:
        print(
            f"the patient of {found.unknown_patients} pictures is unknown: each counts as one patient, so intervals "
            "may be too narrow"
        )
