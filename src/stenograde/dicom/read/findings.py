"""What reading found out about a series, with how much it weighs: the worst is said first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Weight(IntEnum):
    """How much a finding weighs; what is not a :attr:`NOTE` reaches the reader of the report."""

    LOSS = 0
    """Something is not there that was acquired: slices, files, a station."""
    GRID = 1
    """Slices do not lie as they should, or lie together that were not acquired so."""
    PIXELS = 2
    """Values may not be what they seem."""
    NOTE = 3
    """Unusual, but without consequence."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing found while reading."""

    weight: Weight
    text: str


def note(text: str) -> Finding:
    """Return a finding without consequence."""
    return Finding(Weight.NOTE, text)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by weight, those of a weight in the order given; each once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda one: one.weight))
