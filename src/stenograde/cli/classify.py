"""``stenograde classify``: a folder of pictures to a table of probabilities."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from stenograde.errors import DatasetError
from stenograde.files import write_whole

_SHOWN = 5
"""Most problems that are printed; the table holds them all."""


def classify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="PNG, WebP, JPEG or DICOM pictures.")],
    bundle: Annotated[str, typer.Option("--bundle", help="Name of a shipped bundle, or a bundle's folder.")],
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
    levels: Annotated[
        Path | None,
        typer.Option("--levels", help="CSV with the columns image and level (L4/L5); overrides file names."),
    ] = None,
) -> None:
    """Classify every picture of a folder and write a table: image, level, one column per class, any problem.

    A picture that cannot be classified keeps its row, with the reason and without probabilities.
    """
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.grading.pictures import as_pictures_csv, classify_folder, read_picture_levels
    from stenograde.predict.classifier import load_classifier

    classifier = load_classifier(bundle)
    named = read_picture_levels(levels) if levels else None
    with progress_on_stderr(lines=False) as progress:
        rows = classify_folder(folder, classifier, levels=named, progress=progress)
    write_whole(out, as_pictures_csv(rows, classifier.table.classes))
    problems = [row for row in rows if row.problem]
    if len(problems) == len(rows):
        why, n = Counter(row.problem for row in problems).most_common(1)[0]
        msg = (
            f"pictures of {folder} must be such as {classifier.table.name} can classify, got none of {len(rows)}; "
            f"{n} of them: {why}; see {out}"
        )
        raise DatasetError(msg)
    for row in problems[:_SHOWN]:
        print(f"left out: {row.path.name}: {row.problem}")
    if len(problems) > _SHOWN:
        print(f"left out: {len(problems) - _SHOWN} more; see the column problem")
    print(f"{len(rows) - len(problems)} of {len(rows)} pictures classified: {out}")
    print("research software: not a medical device")
