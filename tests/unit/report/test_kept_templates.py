"""Templates are compiled once, anew whenever that would show, and without loss where they cannot be kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from stenograde.report.kept_templates import KeptTemplates


@pytest.fixture(autouse=True)
def bytecode_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)


def rendered(folder: Path, made_by: str = "", *, autoescape: bool = True) -> str:
    loader = DictLoader({"page": "{{ '<b>' }}{{ given }}"})
    environment = Environment(
        loader=loader, autoescape=autoescape, bytecode_cache=KeptTemplates(folder, made_by)
    )
    return environment.get_template("page").render(given="<i>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "__pycache__").mkdir()
    return tmp_path


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "__pycache__").iterdir())


def test_a_template_is_kept_once_and_says_the_same(folder, monkeypatch):
    first = rendered(folder)
    assert len(kept(folder)) == 1
    monkeypatch.setattr(Environment, "compile", None)  # it is not needed again
    assert rendered(folder) == first == "&lt;b&gt;&lt;i&gt;"


def test_what_another_environment_compiled_is_not_used(folder):
    rendered(folder, "escapes")
    assert rendered(folder, "does not", autoescape=False) == "<b><i>"


@pytest.mark.parametrize("spoilt", [b"", b"j2", b"nothing of the kind"])
def test_what_was_not_kept_whole_is_compiled_anew(folder, spoilt):
    first = rendered(folder)
    for path in kept(folder):
        path.write_bytes(path.read_bytes()[:40] + spoilt)
    assert rendered(folder) == first


def test_where_nothing_can_be_kept_pages_are_made_all_the_same(tmp_path):
    assert rendered(tmp_path) == "&lt;b&gt;&lt;i&gt;"
    assert not list(tmp_path.iterdir())


def test_without_bytecode_nothing_is_kept(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rendered(folder)
    assert not kept(folder)
