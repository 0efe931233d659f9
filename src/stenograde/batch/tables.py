"""The two Parquet tables of a cohort, in parts that are written whole; which studies a part holds is settled before."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stenograde.batch.records import NOT_FETCHED, Record
from stenograde.files import write_together
from stenograde.terms import Severity

_WORD = pa.dictionary(pa.int32(), pa.string())
"""Text of which there are few kinds."""

STUDIES = pa.schema(
    [
        ("row", pa.int64()),
        ("name", pa.string()),
        ("study_uid", pa.string()),
        ("outcome", _WORD),
        ("reason", pa.string()),
        ("seconds", pa.float64()),
        ("warnings", pa.list_(pa.string())),
        ("bundle", _WORD),
        ("bundle_version", _WORD),
        ("bundle_hash", _WORD),
    ]
)
"""Columns of the table of studies: one row each, by the row of the manifest."""

CELLS = pa.schema(
    [
        ("row", pa.int64()),
        ("study_uid", pa.string()),
        ("condition", _WORD),
        ("level", _WORD),
        ("side", _WORD),
        ("status", _WORD),
        ("reason", pa.string()),
        ("severity", _WORD),
        *((severity.value, pa.float64()) for severity in Severity),
        ("disagrees", pa.bool_()),
        ("x_mm", pa.float64()),
        ("y_mm", pa.float64()),
        ("z_mm", pa.float64()),
    ]
)
"""Columns of the table of cells: those of every study that was graded."""


def part_of(out: Path, table: str, number: int) -> Path:
    """Return the file of a part of a table (``studies`` or ``cells``)."""
    return out / table / f"part-{number:06d}.parquet"


def is_written(out: Path, number: int) -> bool:
    """Whether both tables have a part."""
    return all(part_of(out, table, number).is_file() for table in ("studies", "cells"))


def write_part(out: Path, number: int, records: Sequence[Record]) -> None:
    """Write a part of both tables, in the order of the manifest.

    Raises
    ------
    ConfigError
        If a file cannot be written; then neither is.
    """
    ordered = sorted(records, key=lambda record: record["row"])
    write_together(
        {
            part_of(out, "studies", number): _parquet([record["study"] for record in ordered], STUDIES),
            part_of(out, "cells", number): _parquet(
                [cell for record in ordered for cell in record["cells"]], CELLS
            ),
        }
    )


def has_unfetched(out: Path, number: int) -> bool:
    """Whether a study of a part could not be fetched."""
    return (
        NOT_FETCHED
        in pq.read_table(part_of(out, "studies", number), columns=["outcome"])["outcome"].to_pylist()
    )


def read_part(out: Path, number: int) -> list[Record]:
    """Return the records that a part was written from."""
    studies, cells = (
        pq.read_table(part_of(out, table, number)).to_pylist() for table in ("studies", "cells")
    )
    of_row: dict[int, list[dict[str, Any]]] = {}
    for cell in cells:
        of_row.setdefault(cell["row"], []).append(cell)
    return [{"row": one["row"], "study": one, "cells": of_row.get(one["row"], [])} for one in studies]


def outcomes_in(out: Path) -> dict[str, int]:
    """Return how many studies of the tables have each outcome."""
    found = Counter[str]()
    for part in sorted((out / "studies").glob("part-*.parquet")):
        for outcome in pq.read_table(part, columns=["outcome"])["outcome"].to_pylist():
            found[outcome] += 1
    return dict(sorted(found.items()))


def _parquet(rows: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    return sink.getvalue()
