"""Two results side by side."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.made_predictions import made_predictions, stated_predictions

from stenograde.config import as_plain
from stenograde.errors import DatasetError
from stenograde.evaluate.comparison import as_table, compare_predictions, read_result
from stenograde.evaluate.hypothesis_tests import delong, mcnemar
from stenograde.evaluate.metrics import METRICS
from stenograde.evaluate.predictions import as_csv


def test_comparison_when_made_then_every_score_and_test_is_in_it() -> None:
    a, b = made_predictions(), made_predictions(of_method=1, skill=0.5)
    shuffled = b.chosen(np.random.default_rng(0).permutation(len(b)))
    found = compare_predictions(a, shuffled, draws=200)
    assert (found.pictures, found.patients, found.unknown_patients) == (120, 40, 0)
    assert found.scores.keys() == METRICS.keys()
    for name, metric in METRICS.items():
        assert found.scores[name].a == metric(a)
        assert found.scores[name].b == pytest.approx(metric(b))
    assert found.scores["auc_any"].difference.low > 0
    assert found.delong["auc_worst"] == delong(a, b, question="auc_worst")
    assert found.mcnemar == mcnemar(a, b)


def test_comparison_when_shown_then_each_row_names_its_tests_and_effects() -> None:
    found = compare_predictions(made_predictions(), made_predictions(of_method=1), draws=20)
    headings, *rows = as_table(found)
    assert headings == ("score", "A", "B", "A - B (95 % interval)", "p", "effect size")
    by_name = {row[0]: row for row in rows}
    assert by_name["accuracy"][4].startswith("McNemar 0.")
    assert "odds ratio" in by_name["accuracy"][5]
    assert by_name["auc_any"][4].startswith("DeLong 0.")
    assert by_name["brier (less is better)"][4:] == ("", "")
    assert all(len(row) == len(headings) for row in rows)


def test_comparison_when_a_question_has_one_answer_only_then_its_test_is_left_out() -> None:
    one = stated_predictions([0, 1, 0, 1], [0, 1, 1, 1])
    found = compare_predictions(one, one, draws=10)
    assert found.delong.keys() == {"auc_any"}
    worst = next(row for row in as_table(found) if row[0] == "auc_worst")
    assert worst[1:4] == ("-", "-", "–")


def test_comparison_when_turned_into_plain_values_then_json_takes_them() -> None:
    same = replace(made_predictions(5), patients=(None,) * 15)
    plain = as_plain(compare_predictions(same, same, draws=10))
    assert plain["mcnemar"]["odds_ratio"] is None  # no disagreement: it cannot be told
    assert plain["unknown_patients"] == plain["patients"] == 15
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_read_result_when_it_names_its_predictions_then_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"predictions": "p.csv"}', encoding="utf-8")
    (tmp_path / "p.csv").write_text(as_csv(made_predictions(3)), encoding="utf-8")
    assert as_csv(read_result(tmp_path)) == as_csv(made_predictions(3))


def test_read_result_when_given_a_table_of_predictions_then_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "row.csv").write_text(as_csv(made_predictions(3)), encoding="utf-8")
    assert as_csv(read_result(tmp_path / "row.csv")) == as_csv(made_predictions(3))


@pytest.mark.parametrize("text", ["{}", "[]", '{"predictions": 3}', '{"predictions": "../p.csv"}'])
def test_read_result_when_it_names_no_file_beside_it_then_it_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match="must name a file beside it under 'predictions'"):
        read_result(tmp_path)


def test_read_result_when_the_folder_is_none_then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"must be a folder with a readable result\.json"):
        read_result(tmp_path / "none")
    (tmp_path / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"readable result\.json"):
        read_result(tmp_path)


def test_a_result_when_it_is_nested_without_end_or_is_a_pipe_then_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"must be a folder with a readable result\.json"):
        read_result(tmp_path)
    (tmp_path / "result.json").unlink()
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(DatasetError, match="it is a named pipe"):
        read_result(tmp_path)
