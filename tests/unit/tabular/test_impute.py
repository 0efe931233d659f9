"""Gaps that were made are filled better than by the most usual value, and what is known stays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra 'tabular'")

from stenograde.tabular.impute import MetadataEncoder, Row

NUMBERS, CATEGORIES = ("echo_ms", "repetition_ms", "noise"), ("weighting", "maker")


def rows_of(n: int, seed: int) -> list[dict[str, str | float | None]]:
    """Studies whose times follow their weighting; the maker goes with the repetition time."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, str | float | None]] = []
    for _ in range(n):
        is_t2 = bool(rng.random() < 0.5)
        repetition = float(rng.normal(4000 if is_t2 else 600, 50))
        maker = "a" if repetition > (4000 if is_t2 else 600) else "b"
        rows.append(
            {
                "echo_ms": float(rng.normal(110 if is_t2 else 12, 2)),
                "repetition_ms": repetition,
                "noise": float(rng.normal()),
                "weighting": "T2" if is_t2 else "T1",
                "maker": maker,
            }
        )
    return rows


def without(rows: list[dict[str, str | float | None]], name: str, every: int) -> list[Row]:
    return [row | {name: None} if k % every == 0 else row for k, row in enumerate(rows)]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str | float | None]]:
    return rows_of(200, seed=1)


def encoded(train: list[Row], test: list[Row]) -> dict[str, np.ndarray]:
    encoder = MetadataEncoder(NUMBERS, CATEGORIES, trees=20).fit(train)
    indicators = [f"{name}={value}" for name, values in encoder.values_.items() for value in values]
    return dict(zip([*NUMBERS, *indicators], encoder.transform(test).T, strict=True))


@pytest.mark.parametrize(("name", "column"), [("weighting", "weighting=T2"), ("maker", "maker=a")])
def test_categories_that_were_removed_come_back(rows, name: str, column: str) -> None:
    found = encoded(without(rows, name, 4), without(rows, name, 4))[column][::4]
    truth = np.array([float(f"{name}={row[name]}" == column) for row in rows[::4]])
    assert ((found > 0.5) == truth).mean() > 0.9
    assert max(truth.mean(), 1 - truth.mean()) < 0.65, "the most usual value must be wrong often"


def test_numbers_that_were_removed_come_back_nearer_than_the_mean(rows) -> None:
    found = encoded(without(rows, "echo_ms", 3), without(rows, "echo_ms", 3))["echo_ms"][::3]
    truth = np.array([row["echo_ms"] for row in rows[::3]])
    assert np.abs(found - truth).mean() < 0.1 * np.abs(truth - truth.mean()).mean()


def test_what_is_known_stays_and_categories_are_indicators(rows) -> None:
    gaps = without(without(rows, "echo_ms", 3), "maker", 5)
    table = encoded(gaps, gaps)
    for k, row in enumerate(gaps):
        if row["echo_ms"] is not None:
            assert table["echo_ms"][k] == row["echo_ms"]
        if row["maker"] is not None:
            assert table[f"maker={row['maker']}"][k] == 1
    np.testing.assert_allclose(table["maker=a"] + table["maker=b"], 1)
    assert np.isfinite(np.stack(list(table.values()))).all()


def test_a_value_that_was_not_seen_in_training_is_a_gap(rows) -> None:
    table = encoded(rows, [rows[0] | {"maker": "c", "weighting": ""}])
    assert table["maker=a"][0] + table["maker=b"][0] == pytest.approx(1)
    assert table["weighting=T2"][0] == pytest.approx(float(rows[0]["weighting"] == "T2"), abs=0.3)


def test_the_same_seed_gives_the_same_table(rows) -> None:
    gaps = without(rows, "maker", 4)
    one, other = encoded(gaps, gaps), encoded(gaps, gaps)
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_what_is_no_number_is_refused(rows) -> None:
    with pytest.raises(ValueError, match="echo_ms must be a number or a gap, got 'long'"):
        MetadataEncoder(NUMBERS).fit([{"echo_ms": "long"}])
    with pytest.raises(ValueError, match="got 0 rows"):
        MetadataEncoder(NUMBERS).fit([])


def test_a_category_that_nobody_has_and_a_sole_column_are_borne() -> None:
    rows = [{"mm": float(k), "weighting": None} for k in range(6)]
    assert MetadataEncoder(("mm",), ("weighting",), trees=5).fit_transform(rows).shape == (6, 1)
    gap = [{"mm": 1.0}, {"mm": 3.0}, {"mm": None}]
    np.testing.assert_allclose(MetadataEncoder(("mm",), trees=5).fit_transform(gap)[:, 0], [1, 3, 2])
