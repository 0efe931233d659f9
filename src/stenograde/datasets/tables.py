"""Reading of the CSV tables of data sets, with the required columns."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from stenograde.errors import DatasetError
from stenograde.files import regular_bytes, shown_bytes, text_of_cell, unpacked_limit

MAX_TABLE_BYTES: Final = 512 << 20
"""Longest table that is read, or unpacked to, bytes; RSNA 2024's longest has 4 MB."""


def read_rows(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Read a CSV file, compressed by gzip or not, as one mapping per row, with empty texts for absent cells.

    Raises
    ------
    DatasetError
        If the file is missing, is not CSV text, or lacks a column.
    """
    try:
        data = regular_bytes(path, at_most=MAX_TABLE_BYTES)
        text = (_unpacked(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="", strict=True)
        found = tuple(reader.fieldnames or ())
        rows = [
            {name: text_of_cell(str(cell or "").strip()) for name, cell in row.items() if name}
            for row in reader
        ]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as exc:
        reason = getattr(exc, "strerror", None) or exc
        msg = f"table must be a readable CSV file, got {path} ({reason})"
        raise DatasetError(msg) from exc
    missing = [name for name in columns if name not in found]
    if missing:
        msg = f"{path.name} must have the columns {', '.join(columns)}, got {', '.join(found) or 'none'} ({path})"
        raise DatasetError(msg)
    return rows


def _unpacked(data: bytes) -> bytes:
    """Unpack what gzip packed, as far as the budget goes."""
    at_most = unpacked_limit(len(data), MAX_TABLE_BYTES)
    with gzip.open(io.BytesIO(data)) as file:
        text = file.read(at_most + 1)
    if len(text) > at_most:
        raise OSError(errno.EFBIG, f"it unpacks to more than {shown_bytes(at_most)}")
    return text
