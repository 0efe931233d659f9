"""The page needs nothing from outside, escapes what it is given, and says the plain things plainly."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.made_results import CLASSES, made_arm, made_result

from stenograde.datasets.picture_files import png_bytes
from stenograde.evaluate.predictions import Predictions, as_csv
from stenograde.experiments.pages.environment import duration
from stenograde.experiments.pictures.page import as_page
from stenograde.experiments.pictures.result import Case, Result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A result's folder with predictions and the pictures of one case."""
    names = tuple(f"n{place}" for place in range(12))
    labels = np.repeat([0, 1, 2], 4)
    shares = np.full((12, 3), 0.2) + 0.4 * np.eye(3)[np.roll(labels, 1)]
    below = tmp_path / "arms" / "main"
    (below / "split-01").mkdir(parents=True)
    predictions = Predictions(CLASSES, names, tuple("aaabbbcccddd"), labels, shares)
    (below / "predictions.csv").write_text(as_csv(predictions), encoding="utf-8")
    for what in ("picture", "heat"):
        (below / "split-01" / f"{what}.png").write_bytes(png_bytes(np.zeros((4, 4), np.uint8)))
    return tmp_path


def _with_case(result: Result) -> Result:
    case = Case("<b>n1</b>", "mild", "serious", 0.8, "picture.png", "heat.png")
    arm = result.main
    return replace(
        result, arms=(replace(arm, splits=(replace(arm.splits[0], cases=(case,)),)), *result.arms[1:])
    )


def test_the_page_asks_for_nothing_from_outside(folder: Path) -> None:
    page = as_page(_with_case(made_result()), folder)
    assert "<script" not in page
    assert "default-src 'none'" in page
    outside = re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)([^"']*)""", page)
    assert outside == []
    assert "url(http" not in page
    assert page.count("<svg") >= 5


def test_the_page_says_the_plain_things(folder: Path) -> None:
    page = as_page(_with_case(made_result()), folder)
    assert '<strong class="chip plainly">pre-trained: no</strong>' in page
    assert (
        "Accuracy 0.75 (0.65 to 0.85), where the document says 0.89. Without any picture: majority 0.33."
        in page
    )
    assert "3 of 12 test pictures have a patient, a look-alike or a twin in training." in page
    assert "Accuracy is 0.90 on them and 0.70 on the others." in page
    assert "not a medical device" in page
    assert "Corrected resampled t-test" in page
    assert 'class="case wrong"' in page


def test_changed_settings_stand_in_the_headline(folder: Path) -> None:
    headline = re.compile(r"<h1[^>]*>(.*?)</h1>")
    plain, title = made_result(), "S1"
    (unchanged,) = headline.findall(as_page(plain, folder))
    assert "changed" not in unchanged
    changed = replace(plain, recipe={**plain.recipe, "changed": ["fit.epochs=2", "net.name=<b>"]})
    page = as_page(changed, folder)
    assert headline.findall(page)[0].startswith(
        f"Experiment {title} (quick, changed: fit.epochs=2, net.name=&lt;b&gt;): "
    )
    assert "<title>S1, patient (quick, changed: fit.epochs=2" in page


def test_what_is_worse_than_always_saying_the_commonest_is_marked(folder: Path) -> None:
    assert 'class="worse"' in as_page(made_result(), folder)
    best = made_arm(variant="first")
    better = replace(best, at_prevalence=(replace(best.at_prevalence[0], majority=0.2),))
    assert 'class="worse"' not in as_page(made_result(arms=(better,), comparisons=()), folder)


def test_names_are_escaped(folder: Path) -> None:
    page = as_page(_with_case(made_result()), folder)
    assert "<b>n1</b>" not in page
    assert "&lt;b&gt;n1&lt;/b&gt;" in page
    assert "Another &lt;network&gt;" in page


def test_a_split_by_picture_is_called_one(folder: Path) -> None:
    result = made_result(protocol="published")
    arm = result.main
    by_image = replace(arm, splits=(replace(arm.splits[0], by="image"),))
    page = as_page(replace(result, arms=(by_image, *result.arms[1:])), folder)
    assert "no scores for new patients" in page


def test_durations_are_said_as_people_say_them() -> None:
    assert [duration(s) for s in (0.4, 59.4, 60, 3599, 7260)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "59 min 59 s",
        "2 h 1 min",
    ]
