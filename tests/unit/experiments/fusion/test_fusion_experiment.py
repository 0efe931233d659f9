"""Ways to fuse, compared on made-up vectors and crops: what is scored, what is imputed, and what is not done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("imblearn", reason="needs the extra 'tabular'")

from stenograde.errors import ConfigError  # noqa: E402
from stenograde.evaluate.rsna_metric import SEVERITY_WEIGHTS  # noqa: E402
from stenograde.experiments.fusion import level_arms  # noqa: E402
from stenograde.experiments.fusion import run as running  # noqa: E402
from stenograde.experiments.fusion.arms import PATTERNS, PUBLISHED, FusionStudies, pooled  # noqa: E402
from stenograde.experiments.fusion.fit import SeriesSet  # noqa: E402
from stenograde.experiments.fusion.level_arms import GIVEN_ONE, OURS, OURS_IMPUTED  # noqa: E402
from stenograde.experiments.fusion.recipe import FusionRecipe  # noqa: E402
from stenograde.experiments.fusion.run import missing_one, read_cohort, run_fusion  # noqa: E402
from stenograde.experiments.fusion.table import lost_with_one_missing, page_of  # noqa: E402
from stenograde.experiments.pages.score_tables import as_markdown, write_tables  # noqa: E402
from stenograde.experiments.recipes.read import read_as  # noqa: E402
from stenograde.experiments.vectors.embed import CohortVectors, StudyVectors  # noqa: E402
from stenograde.levels.crop import CropConfig  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Role  # noqa: E402
from stenograde.train.grader.cohort_crops import CELLS_OF_LEVEL  # noqa: E402
from stenograde.train.grader.crops import CropSet  # noqa: E402

BUNDLE = SimpleNamespace(hash="abc")
SIZE_PX = 24


@pytest.fixture
def recipe() -> FusionRecipe:
    shipped = read_as(FusionRecipe, "s3-fusion")
    fast: dict[str, Any] = {"workers": 0, "accelerator": "cpu", "precision": "32", "average": 0.0}
    return replace(
        shipped,
        folds=2,
        hidden=16,
        fit=replace(shipped.fit, epochs=40, batch=8, learning_rate=5e-3, **fast),
        crops=CropConfig(size_px=SIZE_PX),
        level=replace(
            shipped.level, size_px=SIZE_PX, widths=(32, 32), grid=2, features=16, heads=2, dropout=0.0
        ),
        level_fit=replace(shipped.level_fit, epochs=12, batch=8, learning_rate=5e-3, **fast),
        imputation=replace(shipped.imputation, steps=60, hidden=32, latent=4),
    )


def studies(n: int = 24) -> tuple[CohortVectors, CropSet]:
    """A patient is ill everywhere or nowhere, and every picture shows it; the third has no axial series."""
    rng = np.random.default_rng(0)
    embedded, ranks = [], np.arange(n) % 3
    crops = np.clip(rng.normal(0, 20, (n, 5, 2, 4, 5, SIZE_PX, SIZE_PX)), -127, 127).astype(np.int8)
    present = np.ones((n, 5, 2, 4), bool)
    for k, rank in enumerate(ranks):
        vectors = {role: (0.3 * rng.normal(size=(4, 8)) + rank - 1).astype(np.float32) for role in Role}
        crops[k, ..., 6:18, 6:18] = 50 * (rank - 1)
        if k == 2:
            del vectors[Role.AXIAL_T2]
            present[k, :, :, [kind.role is Role.AXIAL_T2 for kind in level_arms.CropKind]] = False
        severities = np.full(25, rank, np.int64)
        severities[k % 25] = -1
        embedded.append(StudyVectors(f"s{k}", vectors, severities, {}))
    of_levels = np.stack([one.severities[np.array(CELLS_OF_LEVEL)] for one in embedded])
    return CohortVectors(tuple(embedded), "pre-trained: no"), CropSet(crops, present, of_levels)


@pytest.fixture
def cohort(recipe: FusionRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FusionStudies:
    vectors, crops = studies()
    monkeypatch.setattr(running, "embed_cohort", lambda *_, **__: vectors)
    monkeypatch.setattr(running, "crop_cohort", lambda *_, **__: (crops, ("s9 has no crops: dark",)))
    return read_cohort(recipe, tmp_path, BUNDLE, out=tmp_path / "o")  # type: ignore[arg-type]


def test_patterns_are_all_then_those_that_lack_one_then_single_series() -> None:
    assert [len(pattern) for pattern in PATTERNS] == [3, 2, 2, 2, 1, 1, 1]
    assert len(set(PATTERNS)) == 7
    assert list(missing_one()) == [1, 2, 3]


def test_cells_of_levels_are_in_the_order_a_level_is_asked() -> None:
    for level, places in zip(LUMBAR_MRI.levels, CELLS_OF_LEVEL, strict=True):
        assert tuple(LUMBAR_MRI.cells[k] for k in places) == LUMBAR_MRI.at(level)


@pytest.mark.slow
def test_ways_are_compared_and_a_comparison_goes_on(
    recipe: FusionRecipe, cohort: FusionStudies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_fusion(recipe, cohort, out=tmp_path / "o")
    assert set(PUBLISHED) < set(result.scores)
    assert all(len(each) == 7 for each in result.scores.values())
    uniform = 1.1
    assert result.scores[OURS][0].value < uniform / 2
    assert result.scores["1.2 early, attention pooling"][0].value < uniform / 2
    assert set(result.behind) == {*result.scores, *GIVEN_ONE} - {OURS}
    alone = result.behind["ours, given Axial T2 only"]
    assert alone.value == pytest.approx(result.scores[OURS][6].value - result.scores[OURS][0].value)
    # nothing is imputed where all is there, but for the one study without an axial series
    assert all(result.scores[name][0].value < uniform / 2 for name in OURS_IMPUTED)
    # every picture shows what the others show, so that it can be told from them
    assert result.scores["ours, ridge imputation"][1].value < uniform / 2
    assert result.cosines["ours, ridge imputation"][1] > 0.6
    for each in result.cosines.values():
        assert np.isfinite(each[1:]).all()
    assert result.cosines["vectors, ridge"][1] > 0.6

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(running, "answers_of_ours", never)
    again = run_fusion(recipe, cohort, out=tmp_path / "o")
    assert str(again.scores) == str(result.scores)
    with pytest.raises(ConfigError, match=r"nets in .* another seed"):
        run_fusion(replace(recipe, seed=1), cohort, out=tmp_path / "o")
    with pytest.raises(ConfigError, match=r"nets in .* another cohort_sha256"):
        run_fusion(recipe, replace(cohort, vectors=cohort.vectors.with_only([])), out=tmp_path / "o")
    assert result.notes == ("s9 has no crops: dark",)
    told = page_of(result)
    text = as_markdown(told)
    assert f"| {OURS} |" in text
    assert "T1 + T2 + axial" in text
    assert f"{lost_with_one_missing(result, OURS):+.3f}" in text
    assert "Ours with all series" in write_tables(told, tmp_path / "o").read_text(encoding="utf-8")


def test_what_a_missing_crop_holds_does_not_matter_to_ours(recipe: FusionRecipe) -> None:
    _, crops = studies(4)
    net = level_arms.LevelFusion(recipe.level).eval()
    spoilt = crops.crops.copy()
    axial = [kind.role is Role.AXIAL_T2 for kind in level_arms.CropKind]
    spoilt[:, :, :, axial] = 99
    without_axial = PATTERNS.index((Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR))

    def said(values: np.ndarray) -> np.ndarray:
        tokens = level_arms._Tokens.of(net, CropSet(values, crops.present, crops.severities))
        return level_arms._said(net, tokens.values, tokens.there & level_arms.kinds_of(without_axial))

    one = said(crops.crops)
    np.testing.assert_array_equal(one, said(spoilt))
    np.testing.assert_allclose(one.sum(axis=-1), 1)


def test_tokens_are_those_that_the_net_answers_from(recipe: FusionRecipe) -> None:
    """Flattened into rows of views and put back, tokens give the net's own answer, each cell in its place."""
    _, crops = studies(3)
    net = level_arms.LevelFusion(recipe.level).eval()
    tokens = level_arms._Tokens.of(net, crops)
    said = level_arms._said(net, tokens.values, tokens.there)
    with torch.inference_mode():
        values = torch.from_numpy(level_arms.as_values(crops.crops[1]))
        logits = net(values, torch.from_numpy(crops.present[1].astype(np.float32)))
    shares = torch.softmax(logits.double(), dim=-1).numpy() / np.array(SEVERITY_WEIGHTS)
    shares /= shares.sum(axis=-1, keepdims=True)
    for place, cells in enumerate(CELLS_OF_LEVEL):
        np.testing.assert_allclose(said[1, list(cells)], shares[place], rtol=1e-5)


def test_pooled_vectors_are_means_of_what_is_there() -> None:
    vectors, _ = studies(4)
    whole = SeriesSet.of(vectors)
    means = pooled(whole)
    axial = tuple(Role).index(Role.AXIAL_T2)
    assert means.values.shape == (4, 3, 1, 8)
    assert not means.there[2, axial, 0]
    wanted = vectors.studies[0].vectors[Role.AXIAL_T2].mean(axis=0)
    np.testing.assert_allclose(means.values[0, axial, 0], wanted, rtol=1e-5)


def test_recipes_that_cannot_be_are_refused(recipe: FusionRecipe) -> None:
    with pytest.raises(ValueError, match="must be those of the crops"):
        replace(recipe, crops=CropConfig())
    with pytest.raises(ValueError, match="folds must be at least 2"):
        replace(recipe, folds=1)
    with pytest.raises(ConfigError, match=r"path ending in \.toml, got 's9'"):
        read_as(FusionRecipe, "s9")
