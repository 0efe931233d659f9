"""Why a network answered cells as it did, as the JSON document ``stenograde/explain/1``, held by explain.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stenograde.grades import BundleStamp, Evidence, Point, Probabilities, Status
from stenograde.terms import Cell, Severity, Side

SCHEMA_ID = "stenograde/explain/1"
"""Name and version of the document's form."""

_DIGITS = 4
"""Of probabilities, weights, shares and log odds."""


@dataclass(frozen=True)
class SliceWeight:
    """How much a slice of a crop counts."""

    sop_instance_uid: str
    frame: int
    weight: float | None
    """By attention: its part of the crop's weight. None where the network weighs no slices."""
    share: float
    """Of the whole map, by the sizes of its values."""


@dataclass(frozen=True)
class CropWeight:
    """How much a crop counts, and its slices."""

    kind: str
    side: Side
    """From which side the crop looks."""
    series_uid: str
    weight: float | None
    """By attention: the crops that the cell's question is asked of sum to 1. None where it is not asked of this one."""
    share: float
    """Of the whole map, by the sizes of its values."""
    slices: tuple[SliceWeight, ...]
    """Those that the series has; the rest of the weight lies beyond its outermost slices."""


@dataclass(frozen=True)
class Strongest:
    """The place of the map that is farthest from 0."""

    evidence: Evidence
    point: Point
    """LPS mm."""
    speaks_for: bool
    """Whether it speaks for moderate or severe; against otherwise."""


@dataclass(frozen=True)
class ExplainedCell:
    """What the network alone says of a cell, and what that rests on."""

    cell: Cell
    status: Status
    """What became of the cell when the study was graded."""
    reason: str
    probabilities: Probabilities
    """Of the network alone; measurements are not in them."""
    log_odds: float
    """Of moderate or severe."""
    baseline_log_odds: float
    """Of the same crops without detail."""
    remainder: float
    """What the map leaves unexplained of the difference."""
    crops: tuple[CropWeight, ...]
    strongest: Strongest | None
    """None where the map is 0 throughout."""
    picture: str = ""
    """Name of its file; empty for none."""


def as_explain_json(study_uid: str, bundle: BundleStamp, cells: Iterable[ExplainedCell]) -> dict[str, Any]:
    """Return what was explained of a study as a document for :func:`json.dumps`."""
    return {
        "schema": SCHEMA_ID,
        "study_uid": study_uid,
        "bundle": {"name": bundle.name, "version": bundle.version, "hash": bundle.hash},
        "cells": [_cell(one) for one in cells],
    }


def explain_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document.

    Examples
    --------
    >>> explain_schema()["properties"]["schema"]["const"]
    'stenograde/explain/1'
    """
    return json.loads(Path(__file__).with_name("explain.schema.json").read_text("utf-8"))


def _cell(one: ExplainedCell) -> dict[str, Any]:
    return {
        "cell": one.cell.name,
        "status": one.status.value,
        "reason": one.reason,
        "probability": {
            severity.value: round(share, _DIGITS)
            for severity, share in zip(Severity, one.probabilities, strict=True)
        },
        "log_odds": round(one.log_odds, _DIGITS),
        "baseline_log_odds": round(one.baseline_log_odds, _DIGITS),
        "remainder": round(one.remainder, _DIGITS),
        "crops": [_crop(crop) for crop in one.crops],
        "strongest": None if one.strongest is None else _strongest(one.strongest),
        "picture": one.picture or None,
    }


def _crop(crop: CropWeight) -> dict[str, Any]:
    return {
        "crop": crop.kind,
        "seen_from": crop.side.value,
        "series_uid": crop.series_uid,
        "weight": _rounded(crop.weight),
        "share": round(crop.share, _DIGITS),
        "slices": [
            {
                "sop_instance_uid": slice_.sop_instance_uid,
                "frame": slice_.frame,
                "weight": _rounded(slice_.weight),
                "share": round(slice_.share, _DIGITS),
            }
            for slice_ in crop.slices
        ],
    }


def _strongest(strongest: Strongest) -> dict[str, Any]:
    at = strongest.evidence
    return {
        "series_uid": at.series_uid,
        "sop_instance_uid": at.sop_instance_uid,
        "frame": at.frame,
        "row": round(at.row, 3),
        "column": round(at.column, 3),
        "point_lps_mm": [round(mm, 3) for mm in strongest.point],
        "speaks": "for" if strongest.speaks_for else "against",
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
