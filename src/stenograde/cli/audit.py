"""``stenograde audit``: which labels of a cohort to look at again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def audit(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS", help="CSV laid out as a submission: row_id, normal_mild, moderate, severe."
        ),
    ],
    labels: Annotated[Path, typer.Option("--labels", metavar="CSV", help="Labels, laid out as train.csv.")],
    out: Annotated[Path, typer.Option("--out", metavar="CSV", help="File to write the table into.")],
    share: Annotated[
        float, typer.Option("--share", min=0.0001, max=1.0, help="Share of the labels that is written.")
    ] = 0.05,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Of predictions of several models (column model): the one to use."),
    ] = None,
) -> None:
    """List the labels that predictions and a study's other labels support least, for a person to look at.

    Predictions must be out of fold, made by a model that was not trained on the study; a model knows by heart what it
    was trained on. They are calibrated on the labels for each condition; what the study's other cells say, and how they
    are labelled, is learnt from the other studies; and all cells are ranked together (confident learning).

    Columns of the table: rank (1 is the most suspicious), study_id, condition, level, side (empty for the canal),
    label (the stated severity), suggested (what confident learning would put in its place, empty where it would keep
    the label), normal_mild, moderate, severe (probabilities), score (the probability of the label).
    """
    from stenograde.files import write_whole
    from stenograde.grading.label_audit import as_audit_csv, audit_cohort

    found = audit_cohort(labels, predictions, share=share, model=model)
    write_whole(out, as_audit_csv(found))
    print(
        f"{out}: the {len(found.suspicious)} least supported of {found.cells} labels of {found.studies} studies; "
        f"confident learning would change {found.doubted} of all labels"
    )
