"""``stenograde classify``: a folder of pictures to a table of probabilities, by a bundle that classifies pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.output import say_error
from stenograde.errors import DatasetError
from stenograde.files import write_whole
from stenograde.workers import Step

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stenograde.predict.classifier import Classifier
    from stenograde.terms import Level

_BATCH = 32
"""Pictures that go through the networks at once."""

_SHOWN = 5
"""So many problems are named on standard error; all stand in the table."""


@dataclass(frozen=True)
class _Row:
    """One picture of the folder: its probabilities, or why there are none."""

    path: Path
    level: Level | None
    prepared: NDArray[np.uint8] | None = None
    probabilities: tuple[float, ...] = ()
    problem: str = ""


def classify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="PNG, WebP, JPEG or DICOM pictures.")],
    bundle: Annotated[str, typer.Option("--bundle", help="Name of a bundle that ships, or a folder.")],
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
    levels: Annotated[
        Path | None, typer.Option("--levels", help="CSV with columns image, level (L4/L5); wins over names.")
    ] = None,
) -> None:
    """Classify every picture of a folder; write image, level, one column per class, and any problem.

    A picture that cannot be classified keeps its row, with the reason and without probabilities.
    """
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.predict.classifier import load_classifier

    classifier = load_classifier(bundle)
    named = _levels(levels) if levels else {}
    paths = _pictures(folder)
    rows: list[_Row] = []
    with progress_on_stderr(lines=False) as progress:
        for start in range(0, len(paths), _BATCH):
            read = [_read(path, classifier, named) for path in paths[start : start + _BATCH]]
            rows += _classified(read, classifier)
            progress(Step("classifying", len(rows), len(paths)))
    write_whole(out, _as_csv(rows, classifier.table.classes))
    problems = [row for row in rows if row.problem]
    for row in problems[:_SHOWN]:
        say_error(f"{row.path.name}: {row.problem}")
    if len(problems) > _SHOWN:
        say_error(f"and {len(problems) - _SHOWN} more; see the column problem")
    if len(problems) == len(rows):
        msg = (
            f"pictures of {folder} must be such as {classifier.table.name} can classify, got none; see {out}"
        )
        raise DatasetError(msg)
    print(f"{len(rows) - len(problems)} of {len(rows)} pictures classified: {out}")
    print("research software: not a medical device")


def _pictures(folder: Path) -> Sequence[Path]:
    from stenograde.datasets.picture_files import DICOM_SUFFIXES, is_picture

    if not folder.is_dir():
        msg = f"FOLDER must be a folder of pictures, got {folder}"
        raise DatasetError(msg)
    found = sorted(
        path for path in folder.iterdir() if is_picture(path) or path.suffix.lower() in DICOM_SUFFIXES
    )
    if not found:
        msg = f"FOLDER must hold PNG, WebP, JPEG or DICOM pictures, got none in {folder}"
        raise DatasetError(msg)
    return found


def _levels(table: Path) -> Mapping[str, Level]:
    """Return levels by file stem."""
    from stenograde.datasets.tables import read_rows
    from stenograde.terms import Level

    levels = {}
    for row in read_rows(table, ("image", "level")):
        try:
            levels[Path(row["image"]).stem] = Level.parse(row["level"].replace("-", "/"))
        except ValueError as exc:
            msg = f"{table.name}, image {row['image']}: {exc}"
            raise DatasetError(msg) from exc
    return levels


def _read(path: Path, classifier: Classifier, named: Mapping[str, Level]) -> _Row:
    from stenograde.datasets.picture_files import DicomPicture, PictureFile, is_picture

    level = named.get(path.stem) or classifier.table.level_of(path.stem)
    read: Callable[[], NDArray[np.float32]] = (PictureFile if is_picture(path) else DicomPicture)(path).read
    try:
        return _Row(path, level, classifier.prepare(read(), level))
    except (DatasetError, ValueError) as exc:
        cure = "; name it in the file's name or in --levels" if classifier.table.levels and not level else ""
        return _Row(path, level, problem=f"{exc}{cure}")


def _classified(rows: Sequence[_Row], classifier: Classifier) -> list[_Row]:
    import numpy as np

    usable = [row for row in rows if row.prepared is not None]
    if not usable:
        return list(rows)
    prepared = np.stack([row.prepared for row in usable if row.prepared is not None])
    probabilities = iter(classifier.classify(prepared, [row.level for row in usable]).tolist())
    return [
        row if row.prepared is None else _Row(row.path, row.level, probabilities=tuple(next(probabilities)))
        for row in rows
    ]


def _as_csv(rows: Sequence[_Row], classes: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "level", *classes, "problem"])
    for row in rows:
        shown = [f"{value:.6f}" for value in row.probabilities] or [""] * len(classes)
        writer.writerow([row.path.name, row.level.shown if row.level else "", *shown, row.problem])
    return text.getvalue()
