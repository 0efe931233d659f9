"""Reading of the CSV tables of data sets, with the required columns."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection
from pathlib import Path

from stenograde.errors import DatasetError


def read_rows(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Read a CSV file, compressed by gzip or not, as one mapping per row, with empty texts for absent cells.

    Raises
    ------
    DatasetError
        If the file is missing, is not CSV text, or lacks a column.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="", strict=True)
        found = tuple(reader.fieldnames or ())
        rows = [{name: str(cell or "").strip() for name, cell in row.items() if name} for row in reader]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as exc:
        msg = f"table must be a readable CSV file, got {path} ({exc})"
        raise DatasetError(msg) from exc
    missing = [name for name in columns if name not in found]
    if missing:
        msg = f"{path.name} must have the columns {', '.join(columns)}, got {', '.join(found) or 'none'} ({path})"
        raise DatasetError(msg)
    return rows
