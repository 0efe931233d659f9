"""Which recipes ship and how they may be run; read without torch, so that a list of them comes at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from stenograde.config import read_toml
from stenograde.errors import ConfigError

RECIPES = {
    name: Path(__file__).parent / f"{name}.toml"
    for name in ("s0", "s1", "s2", "s3", "s3-fusion", "s3-spider", "s4", "axial-canal")
}
"""The recipes that ship, by name: the published systems by their number, then this project's own."""

PROTOCOLS: Mapping[str, str] = {
    "published": "the document's split, with its flaws",
    "patient": "no patient on both sides, the test at its natural prevalence",
}
"""Protocols by name, with what each is in words."""


Kind = Literal["network", "grid", "fusion", "discs"]
"""A network and its variants; rows of vectors and heads; ways to fuse series; findings of discs."""


def kind_of(name: str) -> Kind:
    """Return what kind a recipe is, by its name or the path of its file; unknown names count as networks.

    Raises
    ------
    ConfigError
        If its file cannot be read, or names another kind.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES.get(name)
    kind = "network" if path is None else read_toml(path).get("kind", "network")
    if kind not in get_args(Kind):
        msg = f"kind of a recipe must be one of {', '.join(get_args(Kind))}, got {kind!r} in {name}"
        raise ConfigError(msg)
    return cast(Kind, kind)


@dataclass(frozen=True)
class Entry:
    """A recipe as lists show it."""

    name: str
    title: str
    document: str
    task: str
    data: str
    arms: tuple[str, ...]
    protocols: tuple[str, ...]


def entries() -> tuple[Entry, ...]:
    """Return an entry for each shipped recipe."""
    return tuple(_entry(path) for path in RECIPES.values())


def _entry(path: Path) -> Entry:
    table = read_toml(path)
    arms = tuple(variant["title"] for variant in table.get("variants", {}).values())
    if "rows" in table:
        arms = (f"{len(table['rows'])} rows",)
    return Entry(
        table["name"],
        table["title"],
        table["document"],
        table["shown_task"],
        table["data"],
        arms,
        tuple(PROTOCOLS) if table.get("kind", "network") == "network" else ("patient",),
    )
