"""The page of an evaluation needs nothing else and is sound HTML; the card marks what a person must fill in."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.made_cohorts import made_cohort

from stenograde.config import as_plain
from stenograde.grading.evaluation import evaluate_graded
from stenograde.grading.kept_grades import GradedCohort
from stenograde.report.evaluation_html import as_evaluation_html
from stenograde.report.evaluation_words import finding
from stenograde.report.model_card import TO_FILL, as_model_card
from stenograde.terms import Condition

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Balanced(HTMLParser):
    """Refuses an element that is not closed where it was opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def numbers_of(n: int, **changed: Any) -> dict[str, Any]:
    evaluation = evaluate_graded(GradedCohort(made_cohort(n), ("a note",)), {}, draws=20)
    stamp = {"name": "made", "version": "1", "hash": "0" * 64}
    numbers = {
        "schema": "stenograde/evaluation/1",
        "version": "0.1.0",
        "made_on": "2025-01-01",
        "bundle": stamp,
        "evidence": {},
        "data": "cohort",
        "labels": "train.csv",
        "shares": None,
        "draws": 20,
        "seed": 0,
        **as_plain(evaluation),
    }
    json.dumps(numbers, allow_nan=False)
    return numbers | changed


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    return numbers_of(8)


def test_page_is_sound_and_asks_for_nothing(numbers: dict[str, Any]) -> None:
    page = as_evaluation_html(numbers)
    found = Balanced(page)
    assert found.links == ["data:,"]
    assert not found.tags & {"script", "iframe", "object", "form"}
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    words = " ".join(found.text)
    assert not re.search(r"\b(nan|None|inf)\b", words)
    for name in ("Mean of the four", "Weighted kappa", "L5/S1", "1.5 T"):
        assert name in words
    assert page.count("<polyline") == 3 * 3 + 3
    assert not set(re.findall(r"\b\d{4}\b", words)) & {str(1001 + k) for k in range(8)}, "no study is named"


def test_texts_of_others_are_no_markup() -> None:
    bad = '<img src="https://example.invalid/x">'
    numbers = numbers_of(2, data=bad, labels=bad, failures=[bad], notes=[bad])
    assert "<img" not in as_evaluation_html(numbers)
    assert Balanced(as_evaluation_html(numbers)).links == ["data:,"]
    assert "<img" not in as_model_card(numbers)


def test_card_has_every_item_and_marks_what_a_person_must_fill(numbers: dict[str, Any]) -> None:
    card = as_model_card(numbers, bundle_card="# made\n\n## Trained on\n\nnothing")
    items = {int(n) for n in re.findall(r"\[(\d+)\]", card)}
    assert items == set(range(1, 28)), "TRIPOD+AI has 27"
    for what in ("intended use", "approval", "who labelled", "funding", "missing"):
        assert any(what in line for line in card.splitlines() if f"**{TO_FILL}:**" in line), what
    assert "\n### made\n" in card
    assert not re.search(r"\b(nan|None|inf)\b", card)
    assert "{" not in card


def test_a_score_on_phantoms_is_called_one(numbers: dict[str, Any]) -> None:
    of_phantoms = numbers | {"is_of_phantoms": True}
    for said in (as_evaluation_html(of_phantoms), as_model_card(of_phantoms)):
        assert "A score on phantoms:" in said
        assert "8 phantoms" in said
    assert "phantoms:" not in as_evaluation_html(numbers)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.3, -0.1, "better than"),
        (0.1, 0.3, "worse than"),
        (-0.1, 0.3, "no difference from"),
        (None, None, "no"),
    ],
)
def test_finding_says_whether_the_pictures_helped(
    numbers: dict[str, Any], low: float | None, high: float | None, said: str
) -> None:
    parts = [
        part | {"difference": {"value": 0.2 if high is None or high > 0 else -0.2, "low": low, "high": high}}
        for part in numbers["parts"]
    ]
    assert said in finding(numbers | {"parts": parts})


def test_what_is_not_labelled_is_told_condition_by_condition(numbers: dict[str, Any]) -> None:
    unknown = {"value": None, "low": None, "high": None}
    parts = [
        part | {"as_graded": unknown} if part["name"] not in {Condition.SPINAL_CANAL_STENOSIS} else part
        for part in numbers["parts"]
    ]
    assert finding(numbers | {"parts": parts}).startswith("Spinal canal stenosis: weighted log loss")
    parts = [part | {"as_graded": unknown} for part in parts]
    assert finding(numbers | {"parts": parts}) == "Nothing could be scored: no labelled cell."
