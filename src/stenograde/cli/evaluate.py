"""``stenograde evaluate``: a bundle on a labelled cohort, as one HTML report and a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.output import MAX_DRAWS, OutFolder, out_folder


def evaluate(
    bundle: Annotated[
        Path, typer.Argument(help="Folder of the bundle; lumbar-mri-25 for the one that ships.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Cohort in the layout of RSNA 2024.")],
    out: OutFolder,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="CSV",
            help="Labels: column study_id (the study's folder) and one for each labelled cell, as in train.csv; "
            "train.csv of the cohort if not given.",
        ),
    ] = None,
    shares: Annotated[
        Path | None,
        typer.Option(
            "--shares",
            metavar="CSV",
            help="Labels, laid out as train.csv, that say how common each severity is at each level; those of the "
            "cohort's other studies if not given.",
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", min=1, max=MAX_DRAWS, help="Draws of studies for the intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draws.")] = 0,
) -> None:
    """Grade every labelled study of a cohort and write what the grades are worth, for readers and reviewers.

    OUT gets evaluation.html (one file, works offline), evaluation.json (the same numbers) and model-card.md (headings
    of TRIPOD+AI and CLAIM 2024; what only a person can know is marked TO BE FILLED BY A PERSON). Each study is kept
    in OUT/graded.jsonl as soon as it is graded: a run that was stopped continues, and other labels need no new
    grading.
    """
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.grading.evaluation import EvaluationConfig, evaluate_into, named_bundle
    from stenograde.report.evaluation_words import finding, who

    folder, loaded = out_folder(out), named_bundle(bundle)
    config = EvaluationConfig(labels, shares, draws, seed)
    with progress_on_stderr() as progress:
        numbers = evaluate_into(loaded, data, folder, config, progress=progress)
    print(f"{who(numbers)}, {len(numbers['failures'])} not graded. {finding(numbers)}")
    for name in ("evaluation.html", "evaluation.json", "model-card.md"):
        print(folder / name)
    print("research use only: not a medical device")
