"""An installed package has every file that the source tree has."""

from __future__ import annotations

import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def test_every_file_of_the_package_is_installed() -> None:
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["stenograde"]
    package = _ROOT / "src" / "stenograde"
    installed = {path for pattern in [*patterns, "**/*.py"] for path in package.glob(pattern)}
    there = {path for path in package.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
    assert sorted(str(path.relative_to(package)) for path in there - installed) == []
