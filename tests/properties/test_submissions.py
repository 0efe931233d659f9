"""What must hold of tables of predictions, whatever they say: written and read, averaged, weighted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.properties.strategies import probabilities

from stenograde.datasets.submission import Said, as_submission_csv, read_submission
from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS, rewarded
from stenograde.grades import Probabilities
from stenograde.grading.ensemble import Mean, ensemble
from stenograde.terms import LUMBAR_MRI

studies = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
"""Names of studies, those of a spreadsheet's formulas and of cells among them."""

names = studies | st.sampled_from([f"7_{cell.name}" for cell in LUMBAR_MRI.cells[:2]] + ["'=1", "a,b", '"'])


submissions = st.dictionaries(
    names,
    st.dictionaries(st.sampled_from(LUMBAR_MRI.cells), probabilities(), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)
"""Tables that say some cells of some studies."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("submissions") / "said.csv"


def written(path: Path, said: Said) -> Path:
    path.write_text(as_submission_csv(said), encoding="utf-8")
    return path


@given(said=submissions)
def test_what_is_written_is_read_again(path: Path, said: Said) -> None:
    found = read_submission(written(path, said))
    assert list(found) == list(said)
    for study, cells in said.items():
        assert found[study].keys() == cells.keys()
        for cell, three in cells.items():
            assert found[study][cell] == pytest.approx(three, abs=1e-15)


@given(said=submissions, weights=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=4))
@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_the_mean_of_one_answer_with_itself_is_that_answer(
    path: Path, said: Said, weights: list[float], mean: Mean
) -> None:
    found = ensemble([written(path, said)] * len(weights), weights=weights, mean=mean)
    for study, cells in said.items():
        for cell, three in cells.items():
            assert found[study][cell] == pytest.approx(three, abs=1e-9)


@given(probabilities())
def test_weighted_probabilities_have_the_odds_times_the_weights(said: Probabilities) -> None:
    found = rewarded(np.array(said))
    assert found.sum() == pytest.approx(1)
    # cross products, as odds against what is impossible are infinite
    raised = np.array(said) * SEVERITY_WEIGHTS
    assert np.outer(found, raised) == pytest.approx(np.outer(raised, found))
