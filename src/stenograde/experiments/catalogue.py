"""Which recipes ship and how they may be run; read without torch, so that a list of them comes at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stenograde.config import read_toml

RECIPES = {
    name: Path(__file__).parent / "recipes" / f"{name}.toml"
    for name in ("s0", "s1", "s2", "s4", "axial-canal")
}
"""The recipes that ship, by name: the published systems by their number, then this project's own."""

PROTOCOLS: Mapping[str, str] = {
    "published": "the document's split, with what is wrong with it",
    "patient": "no patient on both sides, the test at its natural prevalence",
}
"""Protocols by name, with what each is in words."""


@dataclass(frozen=True)
class Entry:
    """What a list says of a recipe."""

    name: str
    title: str
    document: str
    task: str
    data: str
    arms: tuple[str, ...]


def entries() -> tuple[Entry, ...]:
    """Return what a list says of each recipe that ships."""
    return tuple(_entry(path) for path in RECIPES.values())


def _entry(path: Path) -> Entry:
    table = read_toml(path)
    arms = tuple(variant["title"] for variant in table.get("variants", {}).values())
    return Entry(table["name"], table["title"], table["document"], table["shown_task"], table["data"], arms)
