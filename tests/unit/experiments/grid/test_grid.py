"""The grid on made-up vectors: rows, folds, resumption, baselines, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("imblearn", reason="needs the extra 'tabular'")

from sklearn.linear_model import LogisticRegression  # noqa: E402

from stenograde.errors import ConfigError, DatasetError  # noqa: E402
from stenograde.experiments.grid import run as running  # noqa: E402
from stenograde.experiments.grid.features import Features, Tokens, pooled, tokens_of  # noqa: E402
from stenograde.experiments.grid.recipe import GridRecipe  # noqa: E402
from stenograde.experiments.grid.run import BASELINES, as_probabilities, folds_of, run_grid  # noqa: E402
from stenograde.experiments.grid.table import page_of  # noqa: E402
from stenograde.experiments.pages.score_tables import as_markdown, write_tables  # noqa: E402
from stenograde.experiments.recipes.read import read_as  # noqa: E402
from stenograde.experiments.vectors.embed import (  # noqa: E402
    METADATA_CATEGORIES,
    METADATA_NUMBERS,
    CohortVectors,
    StudyVectors,
)
from stenograde.nets.series_fusion import Pooling  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Condition, Role  # noqa: E402

WIDTH = 12


def cohort(n: int = 24, seed: int = 0) -> CohortVectors:
    """A patient is ill everywhere or nowhere; one slice in eight of each series tells, by its first number."""
    rng = np.random.default_rng(seed)
    studies = []
    for k in range(n):
        ill = k % 3
        vectors = {}
        for role in Role:
            values = 0.3 * rng.normal(size=(8, WIDTH)).astype(np.float32)
            values[rng.integers(8), :2] = 4, 4.0 * (ill - 1)
            vectors[role] = values
        if k == 5:
            del vectors[Role.AXIAL_T2]
        metadata: dict[str, str | float | None] = {name: float(rng.normal()) for name in METADATA_NUMBERS}
        metadata |= dict.fromkeys(METADATA_CATEGORIES, "t2")
        metadata[METADATA_NUMBERS[0]] = None if k % 4 == 0 else 1.0
        severities = np.full(len(LUMBAR_MRI.cells), ill, np.int64)
        severities[k % 25] = -1
        studies.append(StudyVectors(f"s{k}", vectors, severities, metadata))
    return CohortVectors(tuple(studies), "pre-trained: no")


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> GridRecipe:
    monkeypatch.setattr(running, "embed_cohort", lambda *_, **__: cohort(48))
    recipe = read_as(GridRecipe, "s3")
    chosen = {
        ("svc", "smote"), ("lightgbm", "smote"), ("network", "weights"), ("xgboost", "smote"),
    }  # fmt: skip
    rows = [
        replace(row, width=WIDTH - 4)
        for row in recipe.rows
        if row.width == 512 and row.intensity == "equalise" and (row.head, row.balance.value) in chosen
    ]
    network = replace(recipe.network, epochs=80, hidden=16, learning_rate=0.02)
    return replace(recipe, rows=tuple(rows), network=network, trees=10)


def test_the_shipped_grid_has_the_documents_rows() -> None:
    recipe = read_as(GridRecipe, "s3", "published")
    assert len(recipe.rows) == 48
    listed = [row for row in recipe.rows if row.published]
    assert len(listed) == 42
    best = max(listed, key=lambda row: row.published[0])
    assert (best.head, best.encoder, best.width, best.published) == (
        "svc",
        "resnet50",
        512,
        (0.9221, 0.5345, 0.6125),
    )
    assert recipe.embedding(listed[0]).size_px == 224
    assert read_as(GridRecipe, "s3").embedding(listed[0]).size_px < 224


def test_every_row_is_run_and_patients_who_are_ill_are_found(grid: GridRecipe, tmp_path: Path) -> None:
    result = run_grid(grid, tmp_path, out=tmp_path / "o")
    assert {row.key for row in result.rows} == {row.key for row in grid.rows}
    assert [one.key for one in result.baselines] == list(BASELINES)
    by_key = {row.key: row.scores["accuracy"].value for row in result.rows}
    assert max(by_key.values()) > 0.9
    majority = next(one for one in result.baselines if one.key == "majority").scores
    assert majority["accuracy"].value < 0.45
    for row in result.rows:
        score = row.scores["macro_f1"]
        assert score.low <= score.value <= score.high


def test_done_rows_are_not_run_again(
    grid: GridRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_grid(grid, tmp_path, out=tmp_path / "o")
    (tmp_path / "o" / "rows" / f"{grid.rows[0].key}.json").unlink()
    ran: list[str] = []
    real = running._run_row

    def counted(features: Features, row: object, *others: object, **more: object) -> object:
        ran.append(row.key)  # type: ignore[attr-defined]
        return real(features, row, *others, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "_run_row", counted)
    again = run_grid(grid, tmp_path, out=tmp_path / "o")
    assert ran == [grid.rows[0].key]
    assert [row.scores for row in again.rows] == [row.scores for row in first.rows]


def test_another_grid_in_the_folder_is_refused(grid: GridRecipe, tmp_path: Path) -> None:
    few = replace(grid, rows=grid.rows[:1])
    run_grid(few, tmp_path, out=tmp_path / "o")
    with pytest.raises(ConfigError, match=r"rows in .* another seed"):
        run_grid(replace(few, seed=1), tmp_path, out=tmp_path / "o")


@pytest.mark.parametrize("far", [0.0, 30.0])
def test_trained_attention_finds_the_slice_that_tells(far: float) -> None:
    """One slice of sixteen, marked by its first number, tells by its second; the others' are noise as large.

    Vectors of an encoder lie far from zero, and close together: attention must find the slice there, too.
    """
    recipe = read_as(GridRecipe, "s3")
    network = replace(recipe.network, epochs=150, hidden=16, learning_rate=0.02)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 16, WIDTH)).astype(np.float32)
    ill = rng.integers(2, size=300)
    values[np.arange(300), rng.integers(16, size=300), :2] = np.stack([np.full(300, 4), 4 * ill - 2], axis=1)
    values += np.float32(far)
    tokens = Tokens(torch.from_numpy(values), torch.ones(300, 16, dtype=torch.bool))
    found = {}
    for pooling in Pooling:
        row = replace(recipe.rows[0], pooling=pooling, width=WIDTH)
        table = pooled(
            tokens, np.repeat(2 * ill[:, None], 5, axis=1), range(200), row, network, seed=0
        ).vectors
        found[pooling] = LogisticRegression().fit(table[:200], ill[:200]).score(table[200:], ill[200:])
    assert found[Pooling.ATTENTION] > 0.9
    assert found[Pooling.MEAN] < 0.85


def test_a_missing_series_is_the_mean_of_training() -> None:
    recipe = read_as(GridRecipe, "s3")
    one = cohort()
    tokens = tokens_of(one, Role.AXIAL_T2)
    row = replace(recipe.rows[0], pooling=Pooling.MEAN, width=WIDTH)
    vectors = pooled(tokens, np.zeros((24, 5), np.int64), range(12, 24), row, recipe.network, seed=0).vectors
    np.testing.assert_allclose(vectors[5], vectors[12:].mean(axis=0), rtol=1e-5)


def test_features_do_not_depend_on_labels_or_studies_that_are_tested() -> None:
    recipe = read_as(GridRecipe, "s3")
    row = replace(next(row for row in recipe.rows if row.pooling is Pooling.ATTENTION), width=WIDTH)
    recipe = replace(recipe, network=replace(recipe.network, epochs=3), trees=5)
    one = cohort()
    train = list(range(16))
    spoilt = [
        study if k < 16 else replace(study, severities=np.zeros_like(study.severities))
        for k, study in enumerate(one.studies)
    ]
    a = Features(one, row, recipe).of(train)
    b = Features(CohortVectors(tuple(spoilt), one.start), row, recipe).of(train)
    for condition in Condition:
        np.testing.assert_array_equal(a[condition], b[condition])


def test_folds_test_every_study_once_and_spread_the_severe() -> None:
    labels = np.zeros((30, 25), np.int64)
    labels[::3, :6] = 2
    tested = []
    for train, test in folds_of(labels, 5, 0):
        assert not set(train) & set(test)
        assert (labels[test] == 2).any(axis=1).sum() == 2
        tested += test
    assert sorted(tested) == list(range(30))
    with pytest.raises(DatasetError, match="at least 10 studies"):
        list(folds_of(labels[:9], 5, 0))


def test_probabilities_keep_the_order_of_scores() -> None:
    scores = np.array([[[-1.0, 2.0, 0.5], [0.2, 0.1, 0.0]]])
    for head in ("svc", "network"):
        shares = as_probabilities(scores, head)
        np.testing.assert_allclose(shares.sum(axis=-1), 1)
        assert shares.argmax(axis=-1).tolist() == [[1, 0]]


def test_the_table_is_sorted_and_has_baselines_and_published_figures(
    grid: GridRecipe, tmp_path: Path
) -> None:
    result = run_grid(replace(grid, rows=grid.rows[:2]), tmp_path, out=tmp_path / "o")
    told = page_of(result, tmp_path / "o")
    lines = as_markdown(told).splitlines()[4:9]
    scores = [float(line.split("|")[5].split()[0]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert sum("baseline:" in line for line in lines) == 3
    assert any("| 0.408 |" in line and "| 0.633 |" in line for line in lines)
    page = write_tables(told, tmp_path / "o").read_text(encoding="utf-8")
    assert "pre-trained: no" in page
    assert page.count("<tr>") == 6
    assert "changed:" not in page
    told = replace(told, recipe=replace(told.recipe, changed=("folds=2",)))
    assert as_markdown(told).startswith("**quick, changed: folds=2**\n")
    page = write_tables(told, tmp_path / "o").read_text(encoding="utf-8")
    assert '<h1 id="title">Experiment S3 (quick, changed: folds=2): ' in page
    assert json.loads((tmp_path / "o" / "grid.json").read_text(encoding="utf-8"))["name"] == "s3"


def test_rows_that_do_not_fit_are_refused() -> None:
    recipe = read_as(GridRecipe, "s3")
    with pytest.raises(ValueError, match="no settings for resnet50"):
        replace(recipe, encoders={"medicalnet152": recipe.encoders["medicalnet152"]})
    with pytest.raises(ValueError, match="some twice"):
        replace(recipe, rows=(recipe.rows[0], recipe.rows[0]))
    with pytest.raises(ConfigError, match="choose a wider one"):
        cohort().projected(512, seed=0)
