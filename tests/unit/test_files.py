"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from stenograde.errors import ConfigError
from stenograde.files import (
    keep_record,
    kept_records,
    regular_bytes,
    whole_file,
    write_together,
    write_whole,
)


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


def test_files_of_one_result_appear_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "grades.json").write_text("old", encoding="utf-8")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ConfigError, match=r"report\.html must be writable, got Is a directory"):
        write_together({tmp_path / "grades.json": "new", tmp_path / "report.html": "new"})
    assert (tmp_path / "grades.json").read_text(encoding="utf-8") == "old"
    assert {item.name for item in tmp_path.iterdir()} == {"grades.json", "report.html"}

    (tmp_path / "report.html").rmdir()
    write_together({tmp_path / "grades.json": "new", tmp_path / "report.html": b"new"})
    assert {item.name: item.read_text(encoding="utf-8") for item in tmp_path.iterdir()} == {
        "grades.json": "new",
        "report.html": "new",
    }


def test_when_the_second_file_cannot_be_placed_then_the_first_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old", encoding="utf-8")
    rename = Path.rename

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == "b":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ConfigError, match="b must be writable, got No space left on device"):
        write_together({tmp_path / "a": "new", tmp_path / "b": "new"})
    assert [item.name for item in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "old"


def test_only_regular_files_of_limited_length_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    os.mkfifo(tmp_path / "pipe")
    assert regular_bytes(tmp_path / "a", at_most=4) == b"1234"
    for path, why in (
        (tmp_path / "a", "longer than 3 bytes"),
        (tmp_path / "pipe", "a named pipe"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "a device"),
    ):
        with pytest.raises(OSError, match=why):
            regular_bytes(path, at_most=3)


def test_kept_records_come_back_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    assert kept_records(path) == []
    for number in range(2):
        keep_record(path, {"number": number})
    with path.open("ab") as file:
        file.write(b'{"numb')
    assert kept_records(path) == [{"number": 0}, {"number": 1}]
    keep_record(path, {"number": 2})
    assert [record["number"] for record in kept_records(path)] == [0, 1, 2]
    path.write_text('[1]\n{"number": 2}\n')
    with pytest.raises(ConfigError, match="must hold a JSON object on each line"):
        kept_records(path)
    path.write_text("{torn}\n")
    with pytest.raises(ConfigError, match="remove it to begin anew"):
        kept_records(path)
