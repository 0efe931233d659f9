"""Disc levels that were looked for as the JSON document ``stenograde/levels/1``: the content of levels.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stenograde.grades import Point

SCHEMA_ID = "stenograde/levels/1"
"""Name and version of the document's form."""


@dataclass(frozen=True)
class NamedLevel:
    """A disc level that was looked for in a volume."""

    name: str
    """As it is shown, such as ``L4/L5``."""
    certain: bool = False
    places: Mapping[str, Point] = field(default_factory=dict)
    """Points found at it, LPS mm, by name; empty where the level is not imaged."""


def as_levels_json(levels: Iterable[NamedLevel], doubts: Iterable[str]) -> dict[str, Any]:
    """Return the levels of a volume as a document for :func:`json.dumps`; positions are rounded to 0.001 mm."""
    rows = [
        {"name": level.name, "imaged": bool(level.places), "certain": level.certain}
        | {f"{place}_lps_mm": [round(float(mm), 3) for mm in at] for place, at in level.places.items()}
        for level in levels
    ]
    return {"schema": SCHEMA_ID, "space": "lps_mm", "levels": rows, "doubts": list(doubts)}


def as_picture_levels_json(
    discs: Iterable[tuple[str, float, float]], doubts: Sequence[str]
) -> dict[str, Any]:
    """Return the discs of a picture, each a name with its row and column in pixels; they are rounded to 0.01."""
    rows = [
        {"name": name, "certain": not doubts, "row": round(row, 2), "column": round(column, 2)}
        for name, row, column in discs
    ]
    return {"schema": SCHEMA_ID, "space": "row_column_px", "levels": rows, "doubts": list(doubts)}
