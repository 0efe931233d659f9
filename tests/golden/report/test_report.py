"""The example's documents are what they were; numbers in drawings may move by a hundredth of a millimetre."""

from __future__ import annotations

import re

import pytest
from tests.golden.report.regenerate import FOLDER, documents

NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.mark.parametrize("name", ["grades.json", "grades.csv", "discs.csv", "report.html"])
def test_document_when_made_again_then_it_is_as_frozen(name: str) -> None:
    made, frozen = documents()[name], (FOLDER / name).read_text("utf-8")
    assert NUMBER.sub("#", made) == NUMBER.sub("#", frozen)
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (made, frozen)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.011)
