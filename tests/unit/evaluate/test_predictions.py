"""Predictions: what is refused, the CSV and back, joining folds, matching two methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made_predictions import made_predictions

from stenograde.errors import DatasetError
from stenograde.evaluate.predictions import Predictions, as_csv, joined, matched, read_predictions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patients": ("a",)}, "one patient, group, label and row of probabilities per picture"),
        ({"names": ("x", "x")}, "picture names must be unique, got 'x' more than once"),
        ({"classes": ("no", "no")}, "classes must be unique"),
        ({"labels": np.array([0, 2])}, "codes from 0 to 1, got 2 for y; leave out"),
        ({"labels": np.array([0, -1])}, "got -1 for y"),
        ({"probabilities": np.array([[0.5, 0.5], [0.7, 0.2]])}, r"sum to one, got \[0.7, 0.2\] for y"),
        ({"probabilities": np.array([[1.5, -0.5], [0.5, 0.5]])}, "within 0 to 1"),
        ({"probabilities": np.array([[np.nan, 0.5], [0.5, 0.5]])}, "for x"),
        ({"groups": ("l4_l5",)}, "1 groups"),
    ],
)
def test_predictions_when_a_part_is_wrong_then_they_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    sound = Predictions(
        ("no", "yes"), ("x", "y"), ("a", "b"), np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]])
    )
    with pytest.raises(ValueError, match=message):
        replace(sound, **changes)


def test_predictions_when_made_then_later_changes_to_the_arrays_do_not_reach_them() -> None:
    labels, shares = np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]])
    made = Predictions(("no", "yes"), ("x", "y"), ("a", "b"), labels, shares)
    labels[0], shares[0] = 1, (0.0, 1.0)
    assert made.labels.tolist() == [0, 1]
    assert made.probabilities[0].tolist() == [0.9, 0.1]
    with pytest.raises(ValueError, match="read-only"):
        made.labels[0] = 1


def test_units_when_patients_are_unknown_then_each_picture_is_its_own() -> None:
    made = Predictions(
        ("no", "yes"), ("x", "y", "z", "a"), ("a", None, "a", None), np.zeros(4), np.full((4, 2), 0.5)
    )
    assert made.units.tolist() == [0, 1, 0, 2]


def test_csv_when_written_and_read_then_nothing_is_lost(tmp_path: Path) -> None:
    made = made_predictions(4)
    odd = replace(made, names=('a "b", c.png', *made.names[1:]), patients=(None, *made.patients[1:]))
    path = tmp_path / "predictions.csv"
    path.write_text(as_csv(odd), encoding="utf-8")
    back = read_predictions(path)
    assert (back.classes, back.names, back.patients, back.groups) == (
        odd.classes,
        odd.names,
        odd.patients,
        odd.groups,
    )
    np.testing.assert_array_equal(back.labels, odd.labels)
    np.testing.assert_array_equal(back.probabilities, odd.probabilities)


def test_csv_when_there_are_no_groups_then_none_come_back(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(as_csv(replace(made_predictions(3), groups=None)), encoding="utf-8")
    assert read_predictions(path).groups is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with image, patient, level, label, got none"),
        ("name,patient,level,label,no,yes\n", "got name, patient"),
        ("image,patient,level,label,no,yes\n", "does not hold predictions: .*got 0 pictures"),
        ("image,patient,level,label,no,yes\nx,a,,maybe,0.5,0.5\n", "row 2 .* got 6 fields and 'maybe'"),
        ("image,patient,level,label,no,yes\nx,a,,no,0.5\n", "row 2 must have 6 fields .* got 5"),
        ("image,patient,level,label,no,yes\nx,a,,no,half,0.5\n", "does not hold predictions"),
    ],
)
def test_reading_when_the_table_is_wrong_then_it_says_where(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_predictions(path)


def test_reading_when_there_is_no_file_then_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="must be a readable CSV file"):
        read_predictions(tmp_path / "none.csv")


def test_joined_when_folds_are_put_together_then_they_are_the_whole() -> None:
    whole = made_predictions(6)
    parts = [whole.chosen(range(9)), whole.chosen(range(9, 18))]
    assert as_csv(joined(parts)) == as_csv(whole)
    with pytest.raises(ValueError, match="must be unique"):
        joined([whole, parts[0]])
    with pytest.raises(ValueError, match="got 0"):
        joined([])


def test_matched_when_the_order_differs_then_rows_are_brought_in_line() -> None:
    one, other = made_predictions(5), made_predictions(5, of_method=1)
    shuffled = other.chosen(np.random.default_rng(0).permutation(len(other)))
    assert as_csv(matched(one, shuffled)) == as_csv(other)


def test_matched_when_the_two_are_about_different_things_then_the_difference_is_named() -> None:
    one = made_predictions(5)
    with pytest.raises(
        DatasetError, match=r"1 only in the first .such as p004_2.png. and 0 only in the second"
    ):
        matched(one, one.chosen(range(len(one) - 1)))
    with pytest.raises(DatasetError, match=r"classes of both results .* severe and .* worst"):
        matched(one, replace(one, classes=("normal_mild", "moderate", "worst")))
    labels = one.labels.copy()
    labels[4] = (labels[4] + 1) % 3
    with pytest.raises(DatasetError, match=r"labels of both results .* for p001_1.png"):
        matched(one, replace(one, labels=labels))
    with pytest.raises(DatasetError, match=r"patients .* got p000 and someone for p000_0.png"):
        matched(one, replace(one, patients=("someone", *one.patients[1:])))
