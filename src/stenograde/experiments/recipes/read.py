"""Read a recipe's TOML file; its ``[quick]`` table lays smaller sizes over the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from stenograde.config import Config, build, read_toml
from stenograde.errors import ConfigError
from stenograde.experiments.recipes.catalogue import RECIPES

Size = Literal["quick", "published"]
"""Minutes on 2 cores, or as in the document."""


def read_as(kind: type[Config], name: str | Path, size: Size = "quick") -> Config:
    """Read a recipe that ships, by its name, or one's own, by the path of its TOML file.

    Parameters
    ----------
    kind : dataclass
        What recipes of this kind are built as; has ``size``.
    name : str or Path
        One of :data:`stenograde.experiments.recipes.catalogue.RECIPES`, or a path that ends in ``.toml``.
    size : {"quick", "published"}
        ``quick`` lays the file's ``[quick]`` table over the rest; a file without one has one size.

    Raises
    ------
    ConfigError
        If there is no such recipe, or a setting is unknown or wrong.
    """
    if size not in get_args(Size):
        msg = f"size must be one of {', '.join(get_args(Size))}, got {size!r}"
        raise ConfigError(msg)
    path = Path(name) if str(name).endswith(".toml") else RECIPES.get(str(name))
    if path is None:
        msg = f"recipe must be one of {', '.join(RECIPES)} or a path ending in .toml, got {str(name)!r}"
        raise ConfigError(msg)
    table = read_toml(path)
    smaller = table.pop("quick", {})
    if "size" in table or not isinstance(smaller, dict):
        msg = f"{path.name} must not set size, and its quick must be a table; --size chooses between the two"
        raise ConfigError(msg)
    if size == "quick":
        table = overlaid(table, smaller)
    try:
        return build(kind, {**table, "size": size})
    except ConfigError as exc:
        exc.add_note(f"in the recipe {path.name}")
        raise


def overlaid(table: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with another laid over it: tables are joined name by name, all else is replaced.

    Examples
    --------
    >>> overlaid({"fit": {"epochs": 25, "batch": 32}}, {"fit": {"epochs": 8}})
    {'fit': {'epochs': 8, 'batch': 32}}
    """
    joined = dict(table)
    for name, value in over.items():
        below = joined.get(name)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        joined[name] = overlaid(below, value) if both else value  # type: ignore[arg-type]
    return joined
