"""Tables of predictions are averaged as NumPy and SciPy average them, and only where they have the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import gmean

from stenograde.cli import main
from stenograde.datasets.submission import Said, as_submission_csv, read_submission
from stenograde.errors import ConfigError, DatasetError
from stenograde.grades import EVEN_ODDS, Probabilities
from stenograde.grading.ensemble import ensemble
from stenograde.terms import LUMBAR_MRI

CELLS = LUMBAR_MRI.cells[3:6]


def made(seed: int) -> Said:
    rng = np.random.default_rng(seed)
    return {
        study: {cell: Probabilities(rng.dirichlet((1, 1, 1))) for cell in CELLS} for study in ("10", "7_a")
    }


def write(path: Path, said: Said) -> Path:
    path.write_text(as_submission_csv(said), encoding="utf-8")
    return path


def as_array(said: Said) -> np.ndarray:
    return np.array([[said[study][cell] for cell in CELLS] for study in ("10", "7_a")])


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    """Three tables with the same rows, the last of them in another order."""
    paths = [write(tmp_path / f"{seed}.csv", made(seed)) for seed in range(3)]
    head, *rows = paths[2].read_text(encoding="utf-8").splitlines()
    paths[2].write_text("\n".join([head, *reversed(rows)]) + "\n", encoding="utf-8")
    return paths


def test_the_arithmetic_mean_is_that_of_numpy(tables: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "made" / "mean.csv"
    asked = ["ensemble", *map(str, tables), "--out", str(out)]
    assert main([*asked, "--weight", "2", "--weight", "1", "--weight", "0.5"]) == 0
    each = [as_array(made(seed)) for seed in range(3)]
    assert as_array(read_submission(out)) == pytest.approx(np.average(each, axis=0, weights=(2, 1, 0.5)))
    assert main(asked) == 0
    assert as_array(read_submission(out)) == pytest.approx(np.mean(each, axis=0))


def test_the_geometric_mean_is_that_of_scipy(tables: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "mean.csv"
    words = ["--weight", "2", "--weight", "1", "--weight", "3", "--geometric", "--out", str(out)]
    assert main(["ensemble", *map(str, tables), *words]) == 0
    wanted = gmean(
        [as_array(made(seed)) for seed in range(3)], axis=0, weights=np.array([2, 1, 3])[:, None, None, None]
    )
    assert as_array(read_submission(out)) == pytest.approx(wanted / wanted.sum(axis=2, keepdims=True))


def test_opinions_that_exclude_each_other_leave_even_odds(tmp_path: Path) -> None:
    one, other, third = (
        {"1": {CELLS[0]: Probabilities(three)}} for three in ((1, 0, 0), (0, 0, 1), (0.5, 0.5, 0))
    )
    paths = [write(tmp_path / f"{k}.csv", said) for k, said in enumerate((one, other, third))]
    assert ensemble(paths[:2], mean="geometric")["1"][CELLS[0]] == EVEN_ODDS
    assert ensemble(paths[::2], mean="geometric")["1"][CELLS[0]] == (1, 0, 0)


def test_rows_that_a_table_lacks_are_counted_and_the_first_is_named(
    tables: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tables[1].read_text(encoding="utf-8").splitlines()
    tables[1].write_text("\n".join([lines[0], *lines[3:]]) + "\n", encoding="utf-8")
    out = tmp_path / "mean.csv"
    assert main(["ensemble", *map(str, tables), "--out", str(out)]) == 2
    lacking = sorted(line.partition(",")[0] for line in lines[1:3])
    assert f"got {tables[1]} without 2 of 6, the first of which is {lacking[0]}" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan")), (1e308, 1e308)])
def test_weights_that_are_none_are_refused(tables: list[Path], weights: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="one --weight above 0 for each or none at all, got 2 tables"):
        ensemble(tables[:2], weights=weights)


def test_one_table_is_no_ensemble_and_empty_ones_are_refused(tables: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs at least two tables"):
        ensemble(tables[:1])
    empty = write(tmp_path / "empty.csv", {})
    with pytest.raises(DatasetError, match=r"tables must hold predictions, got none in .*empty.csv"):
        ensemble([empty, empty])
