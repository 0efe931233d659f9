"""``stenograde inspect``: files are called by number, names are told only to who asks, and memory has a limit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.dicom_files import write_study

from stenograde.cli import main


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = write_study(tmp_path / "study")
    (folder / "DOE_JANE\x1b[31m.txt").write_text("x", encoding="utf-8")
    os.mkfifo(folder / "DOE_JANE.pipe")
    return folder


def test_what_was_left_out_when_listed_then_by_number_and_names_on_demand(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(study)]) == 0
    shown = capsys.readouterr().out
    assert "file 1 of 17" in shown
    assert "a named pipe, which is not read" in shown
    assert "DOE" not in shown
    assert main(["inspect", str(study), "--names"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert len(names) == 17
    assert names[:2] == [r"file 1 of 17: DOE_JANE\x1b[31m.txt", "file 2 of 17: DOE_JANE.pipe"]


def test_memory_limit_when_a_study_takes_more_then_it_is_refused_and_named(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stenograde.cli.inspect.bytes_asked", lambda size: 10_000 if size == "9" else 1 << 30)
    assert main(["inspect", str(study), "--memory-limit", "9"]) == 2
    assert "must take at most 9.77 KiB while it is graded" in capsys.readouterr().err
    assert main(["inspect", str(study), "--memory-limit", "1GiB"]) == 0


@pytest.mark.parametrize("size", ["", "much", "-1GiB", "10", "nan", "1e9", "999KiB", "1 2GiB"])
def test_memory_limit_when_it_is_no_size_then_it_is_refused(
    size: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(study), "--memory-limit", size]) == 2
    assert "--memory-limit must be a size of at least 1MiB" in capsys.readouterr().err
