"""``stenograde submit``: test studies in, the submission to RSNA 2024 out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.output import BundleFolder, SubmissionFile, say_error, submission_file

SharesFile = Annotated[
    Path | None,
    typer.Option(
        "--shares",
        metavar="CSV",
        help="Labels, laid out as train.csv, whose share at a level stands for what could not be graded; even odds "
        "if not given.",
    ),
]


def submit(
    data: Annotated[
        Path, typer.Argument(help="Folder in the layout of RSNA 2024, or with one folder per study.")
    ],
    out: SubmissionFile,
    bundle: BundleFolder = None,
    shares: SharesFile = None,
    weighted: Annotated[
        bool,
        typer.Option(
            "--weighted",
            help="Multiply probabilities by 1, 2 and 4, as the metric weighs severities, and make them sum to one.",
        ),
    ] = False,
) -> None:
    """Grade test studies and write a submission to RSNA 2024: a row for each of the 25 cells of every study.

    DATA holds test_images with a folder for each study, and test_series_descriptions.csv with the role of each series;
    or train_images with its table, or any folders of studies, whose roles are then inferred. Drafts and abstained
    cells count with their probabilities. What could not be graded is filled, and a line on standard error says why.
    Nothing is written if no study could be graded.
    """
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.datasets.submission import as_submission_csv
    from stenograde.files import write_whole
    from stenograde.grading.submit import SubmitConfig, submission_of
    from stenograde.predict.bundle import bundle_at

    path, loaded = submission_file(out), bundle_at(bundle)
    config = SubmitConfig(shares, weighted)
    with progress_on_stderr(lines=False) as progress:
        made = submission_of(data, loaded, config, tell=say_error, progress=progress)
    write_whole(path, as_submission_csv(made.said))
    n_rows = sum(map(len, made.said.values()))
    print(
        f"{made.n_graded} of {len(made.said)} studies graded, {made.n_filled} of {n_rows} cells filled",
        end="",
    )
    print(f" with {made.filled_with}: {path}" if made.n_filled else f": {path}")
    print("research use only: not a medical device")
    raise typer.Exit(1 if made.has_fault else 0)
