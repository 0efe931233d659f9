"""``bundle.toml`` and the texts beside it: nested settings to TOML, the hash of each file of a bundle."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stenograde.predict.bundle import BUNDLE_FILE
from stenograde.predict.weight_files import WeightFile


def weight_file(path: Path) -> WeightFile:
    """Return a file's name and SHA-256 as a bundle states them."""
    return WeightFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def write_texts(out: Path, table: Mapping[str, Any], card: str, made_by: Mapping[str, Any]) -> None:
    """Write ``bundle.toml``, ``card.md`` and ``training.json``, which also gets the versions of the packages."""
    (out / BUNDLE_FILE).write_text(as_toml(table), encoding="utf-8")
    (out / "card.md").write_text(card, encoding="utf-8")
    resolved = {"versions": versions(), **made_by}
    (out / "training.json").write_text(json.dumps(resolved, indent=1), encoding="utf-8")


def versions(*more: str) -> dict[str, str]:
    """Return the versions of Python and of the packages that made a bundle, and of more of them by name."""
    names = ("stenograde", "torch", "numpy", "scipy", "onnxruntime", *more)
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def copy_with(base: Path, out: Path, ours: Mapping[str, str], kept: Collection[str] = ()) -> None:
    """Copy the files of a bundle, with texts of our own in place of or beside them.

    Parameters
    ----------
    base, out : Path
        Folders of the bundle and of its copy.
    ours : mapping
        Texts by file name.
    kept : collection of str
        Files that the copy has already.
    """
    for path in sorted(base.iterdir()):
        if path.is_file() and path.name not in {*ours, *kept}:
            shutil.copyfile(path, out / path.name)
    for name, text in ours.items():
        (out / name).write_text(text, encoding="utf-8")


def as_toml(table: Mapping[str, Any]) -> str:
    """Return nested settings as TOML; what is None is left out.

    Parameters
    ----------
    table : mapping
        Texts, numbers, truth values, lists of these or of flat tables, and such mappings.

    Examples
    --------
    >>> print(as_toml({"name": "x", "mirrored": True, "net": {"widths": (8, 16), "seed": None}}), end="")
    name = "x"
    mirrored = true
    <BLANKLINE>
    [net]
    widths = [8, 16]
    """
    return _table(table, "")


def _table(table: Mapping[str, Any], path: str) -> str:
    plain = {key: value for key, value in table.items() if value is not None}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items() if not isinstance(value, Mapping)]
    for key, value in plain.items():
        if isinstance(value, Mapping):
            name = f"{path}.{key}" if path else key
            lines += ["", f"[{name}]", _table(value, name).rstrip("\n")]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, str):
        # a StrEnum is its text
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return repr(value)
