"""A file appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stenograde.errors import ConfigError
from stenograde.files import whole_file, write_whole


def test_when_a_file_is_there_then_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "grades.json"
    write_whole(path, "old")
    write_whole(path, "ä new")
    assert path.read_bytes() == "ä new".encode()
    assert [item.name for item in tmp_path.iterdir()] == ["grades.json"]


def test_when_it_fails_then_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "grades.json").mkdir()
    with pytest.raises(ConfigError, match=r"grades\.json must be writable, got .*; choose another --out"):
        write_whole(tmp_path / "grades.json", b"new")
    assert [item.name for item in tmp_path.iterdir()] == ["grades.json"]


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b.json", "{}")
    assert (tmp_path / "a" / "b.json").read_text(encoding="utf-8") == "{}"


def test_when_writing_is_broken_off_then_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def broken_off() -> None:
        with whole_file(path) as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert [item.name for item in tmp_path.iterdir()] == ["a.bin"]
    assert path.read_bytes() == b"old"


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
