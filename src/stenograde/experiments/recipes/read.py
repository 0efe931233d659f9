"""Read a recipe's TOML file; its ``[quick]`` table lays smaller sizes over the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from stenograde.config import NO_CHANGES, Changes, Config, build_changed, read_toml
from stenograde.errors import ConfigError
from stenograde.experiments.recipes.catalogue import RECIPES

Size = Literal["quick", "published"]
"""Minutes on 2 cores, or as in the document."""

_OURS = {"size", "changed"}
"""Settings that no file has: they say how it was read."""


def read_as(
    kind: type[Config], name: str | Path, size: Size = "quick", changes: Changes = NO_CHANGES
) -> Config:
    """Read a recipe that ships, by its name, or one's own, by the path of its TOML file.

    Parameters
    ----------
    kind : dataclass
        What recipes of this kind are built as; has ``size`` and ``changed``.
    name : str or Path
        One of :data:`stenograde.experiments.recipes.catalogue.RECIPES`, or a path that ends in ``.toml``.
    size : {"quick", "published"}
        ``quick`` lays the file's ``[quick]`` table over the rest; a file without one has one size.
    changes : Changes
        What is asked of the settings of that size. What then differs is in the recipe's ``changed``.

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
    if _OURS & table.keys() or not isinstance(smaller, dict):
        msg = f"{path.name} must not set size or changed, and its quick must be a table; --size chooses between the two"
        raise ConfigError(msg)
    if given := _OURS & {setting.partition("=")[0].strip() for setting in changes.settings}:
        msg = f"--set must name a setting of the recipe, got {', '.join(sorted(given))}; --size chooses the size"
        raise ConfigError(msg)
    if size == "quick":
        table = overlaid(table, smaller)
    try:
        made, changed = build_changed(kind, {**table, "size": size}, changes)
    except ConfigError as exc:
        exc.add_note(f"in the recipe {path.name}")
        raise
    return replace(made, changed=changed) if changed else made  # type: ignore[type-var]


def how_run(recipe: Mapping[str, Any]) -> str:
    """Return in words at what size a recipe was run, and which of its settings were changed.

    Parameters
    ----------
    recipe : mapping
        Its settings as plain values.

    Examples
    --------
    >>> how_run({"size": "quick", "changed": ["fit.epochs=2"]}), how_run({"size": "published"})
    ('quick, changed: fit.epochs=2', 'published')
    """
    size, changed = recipe.get("size", ""), recipe.get("changed") or ()
    return f"{size}, changed: {', '.join(changed)}" if changed else size


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
