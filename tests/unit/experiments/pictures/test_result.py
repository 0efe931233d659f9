"""A result survives being written and read; what is not one is refused with its name."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.made_results import made_result

from stenograde.errors import ConfigError, DatasetError
from stenograde.experiments.pictures.result import read_result, told, write_result
from stenograde.files import write_whole


def test_a_result_reads_back_as_it_was(tmp_path: Path) -> None:
    result = made_result()
    path = write_result(result, tmp_path)
    assert read_result(tmp_path) == read_result(path) == result
    assert not list(tmp_path.glob(".writing-*"))


def test_scores_that_cannot_be_told_are_null_and_not_nan() -> None:
    assert [told(value) for value in (math.nan, math.inf, None, 0.25)] == [None, None, None, 0.25]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": "stenograde-experiment/99"}, "schema of .* must be stenograde-experiment/1"),
        ({"arms": "many"}, "does not hold what it must"),
        ({"surprise": 1}, "has no setting 'surprise'"),
    ],
)
def test_another_version_or_content_is_refused(change: dict[str, object], text: str, tmp_path: Path) -> None:
    path = write_result(made_result(), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(DatasetError, match=text):
        read_result(tmp_path)


def test_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"must be a readable result\.json"):
        read_result(tmp_path)


def test_a_nan_never_reaches_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_result(replace(made_result(), seconds=math.nan), tmp_path)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be writable"):
        write_whole(tmp_path / "taken" / "result.json", b"")
