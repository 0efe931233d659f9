"""``stenograde ensemble``: the mean of several tables of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.output import SubmissionFile, submission_file

Weights = Annotated[
    list[float] | None,
    typer.Option(
        "--weight", help="How much a table counts, once for each in their order; alike if not given."
    ),
]


def ensemble(
    tables: Annotated[
        list[Path], typer.Argument(metavar="CSV...", help="Predictions, laid out as submissions.")
    ],
    out: SubmissionFile,
    weight: Weights = None,
    geometric: Annotated[
        bool,
        typer.Option(
            "--geometric", help="Take the geometric mean, which follows the surer, not the arithmetic."
        ),
    ] = False,
) -> None:
    """Average tables of predictions, laid out as submissions to RSNA 2024, into one.

    All tables must have the same rows; their order may differ.
    """
    from stenograde.datasets.submission import as_submission_csv
    from stenograde.files import write_whole
    from stenograde.grading.ensemble import ensemble as ensemble_of

    path = submission_file(out)
    said = ensemble_of(tables, weights=weight or (), mean="geometric" if geometric else "arithmetic")
    write_whole(path, as_submission_csv(said))
    print(f"mean of {len(tables)} tables, {sum(map(len, said.values()))} rows: {path}")
