"""The import contracts name every room, so that a new one cannot slip past them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOMES = {
    "pydicom": {"dicom", "phantom", "pacs"},
    "torch": {"nets", "train", "experiments"},
    "ray": {"batch"},
}
"""Where an external package may be imported."""


def contracts() -> list[dict[str, Any]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return table["tool"]["importlinter"]["contracts"]


def rooms() -> set[str]:
    """Names of the packages and modules at the top of the source, but for those that hold no code of a layer."""
    found = (ROOT / "src/stenograde").iterdir()
    names = {path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").is_file()}
    return names - {"__init__", "__main__"}


@pytest.mark.parametrize("package", HOMES)
def test_a_rule_about_an_external_package_names_every_room_but_its_homes(package: str) -> None:
    named = {
        module.removeprefix("stenograde.")
        for contract in contracts()
        if contract["type"] == "forbidden" and package in contract["forbidden_modules"]
        for module in contract["source_modules"]
    }
    assert named == rooms() - HOMES[package]


def test_no_room_may_have_a_cycle_inside_and_none_is_excused() -> None:
    (contract,) = (one for one in contracts() if one["type"] == "acyclic_siblings")
    assert contract["ancestors"] == ["stenograde"]
    assert not {"ignore_imports", "skip_descendants", "depth"} & contract.keys()
