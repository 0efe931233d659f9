"""What is odd about RSNA 2024, put into a cohort of phantoms, so that reading of it can be tried.

Each kind is put into its own share of the studies: empty and repeated files, a series copied into a second folder, a
listed series without a folder, labels and rows that are missing, marks outside the picture, on the wrong side or on no
picture, levels named one off, a study that cannot be read and one that is there twice. ``quirks.csv`` tells which.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stenograde.phantom.files.tables import write_table
from stenograde.terms import LUMBAR_MRI, Cell, Level

QUIRKS = "quirks.csv"
"""Table of what was put into which study."""

LABELS, MARKS, SERIES = "train.csv", "train_label_coordinates.csv", "train_series_descriptions.csv"


@dataclass
class _Tables:
    """The three tables of a cohort, to be changed."""

    root: Path
    rows: dict[str, list[dict[str, str]]]

    @classmethod
    def read(cls, root: Path) -> _Tables:
        rows = {}
        for name in (LABELS, MARKS, SERIES):
            with (root / name).open(newline="", encoding="utf-8") as file:
                rows[name] = list(csv.DictReader(file))
        return cls(root, rows)

    def of(self, table: str, study: Path) -> list[dict[str, str]]:
        return [row for row in self.rows[table] if row["study_id"] == study.name]

    def write(self) -> None:
        for name, rows in self.rows.items():
            write_table(self.root / name, list(rows[0]), [list(row.values()) for row in rows])


def put_quirks(root: Path, *, seed: int, share: float = 0.015) -> list[tuple[str, str]]:
    """Put every kind of oddity into some studies of a written cohort, and return which study has which.

    Parameters
    ----------
    root : Path
        Folder with ``train_images`` and the tables; they are changed.
    seed : int
        Draws the studies.
    share : float
        Of the studies, for each kind; at least one.

    Raises
    ------
    ValueError
        If there are fewer studies than kinds.
    """
    studies = sorted(path for path in (root / "train_images").iterdir() if path.is_dir())
    each = max(1, round(share * len(studies)))
    if each * len(_KINDS) > len(studies):
        msg = f"a cohort must have at least {each * len(_KINDS)} studies for its quirks, got {len(studies)}"
        raise ValueError(msg)
    rng = np.random.default_rng([seed, 99])
    drawn = rng.permutation(len(studies))[: each * len(_KINDS)]
    tables, put = _Tables.read(root), []
    for number, place in enumerate(drawn.tolist()):
        kind, change = _KINDS[number // each]
        change(studies[place], tables, rng)
        put.append((studies[place].name, kind))
    tables.write()
    write_table(root / QUIRKS, ["study_id", "quirk"], [list(one) for one in sorted(put)])
    return put


def _series(study: Path, rng: np.random.Generator) -> Path:
    folders = sorted(path for path in study.iterdir() if path.is_dir())
    return folders[int(rng.integers(len(folders)))]


def _files(study: Path, rng: np.random.Generator) -> list[Path]:
    return sorted(_series(study, rng).glob("*.dcm"))


def _empty_file(study: Path, _: _Tables, rng: np.random.Generator) -> None:
    (_series(study, rng) / "9001.dcm").write_bytes(b"")


def _repeated_file(study: Path, _: _Tables, rng: np.random.Generator) -> None:
    files = _files(study, rng)
    shutil.copyfile(files[0], files[0].with_name("9002.dcm"))


def _repeated_folder(study: Path, _: _Tables, rng: np.random.Generator) -> None:
    series = _series(study, rng)
    shutil.copytree(series, series.with_name(f"{series.name} (1)"))


def _missing_series(study: Path, tables: _Tables, _: np.random.Generator) -> None:
    rows = [row for row in tables.of(SERIES, study) if row["series_description"] != "Sagittal T2/STIR"]
    shutil.rmtree(study / rows[0]["series_id"])


def _labels_missing(study: Path, tables: _Tables, rng: np.random.Generator) -> None:
    for row in tables.of(LABELS, study):
        for cell in rng.permutation(len(LUMBAR_MRI.cells))[:6].tolist():
            row[LUMBAR_MRI.cells[cell].name] = ""


def _no_labels(study: Path, tables: _Tables, _: np.random.Generator) -> None:
    tables.rows[LABELS] = [row for row in tables.rows[LABELS] if row["study_id"] != study.name]


def _labels_alone(study: Path, _: _Tables, __: np.random.Generator) -> None:
    shutil.rmtree(study)


def _mark_outside(study: Path, tables: _Tables, rng: np.random.Generator) -> None:
    rows = tables.of(MARKS, study)
    rows[int(rng.integers(len(rows)))]["x"] = "9999.0"


def _mark_nowhere(study: Path, tables: _Tables, rng: np.random.Generator) -> None:
    rows = tables.of(MARKS, study)
    rows[int(rng.integers(len(rows)))]["instance_number"] = "9999"


def _sides_exchanged(study: Path, tables: _Tables, _: np.random.Generator) -> None:
    other = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
    for row in tables.of(MARKS, study):
        if "subarticular" in row["condition"].lower():
            side = next(one for one in other if row["condition"].startswith(one))
            row["condition"] = row["condition"].replace(side, other[side], 1)


def _one_level_off(study: Path, tables: _Tables, _: np.random.Generator) -> None:
    """Name every level of a study as the one below it, in labels and marks alike."""
    for row in tables.of(LABELS, study):
        true = dict(row)
        for cell in LUMBAR_MRI.cells:
            place = LUMBAR_MRI.levels.index(cell.level)
            above = LUMBAR_MRI.levels[place - 1] if place else None
            row[cell.name] = true[Cell(cell.condition, above, cell.side).name] if above else ""
    kept = []
    for row in tables.rows[MARKS]:
        if row["study_id"] == study.name:
            place = LUMBAR_MRI.levels.index(Level(row["level"].lower().replace("/", "_"))) + 1
            if place == len(LUMBAR_MRI.levels):
                continue
            row["level"] = LUMBAR_MRI.levels[place].shown
        kept.append(row)
    tables.rows[MARKS] = kept


def _unreadable(study: Path, _: _Tables, __: np.random.Generator) -> None:
    for path in study.rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:200])


def _twice(study: Path, tables: _Tables, _: np.random.Generator) -> None:
    twin = study.with_name(str(int(study.name) + 1))
    shutil.copytree(study, twin)
    for name in (LABELS, SERIES):
        tables.rows[name] += [{**row, "study_id": twin.name} for row in tables.of(name, study)]


_Change = Callable[[Path, _Tables, np.random.Generator], None]

_KINDS: Sequence[tuple[str, _Change]] = (
    ("empty file", _empty_file),
    ("repeated file", _repeated_file),
    ("repeated folder", _repeated_folder),
    ("missing series", _missing_series),
    ("labels missing", _labels_missing),
    ("no labels", _no_labels),
    ("labels without a study", _labels_alone),
    ("mark outside the picture", _mark_outside),
    ("mark on no picture", _mark_nowhere),
    ("sides exchanged", _sides_exchanged),
    ("named one level off", _one_level_off),
    ("unreadable study", _unreadable),
    ("study twice", _twice),
)
