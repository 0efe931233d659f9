"""Findings of discs: crops where they should be, no patient on both sides, missing series, held-out patients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from safetensors.torch import save_file  # noqa: E402

from stenograde.datasets.marked_slice import MarkedSlice  # noqa: E402
from stenograde.datasets.spider_discs import LEVELS  # noqa: E402
from stenograde.errors import ConfigError, DatasetError  # noqa: E402
from stenograde.experiments.discs import crops as cutting  # noqa: E402
from stenograde.experiments.discs import store as storing  # noqa: E402
from stenograde.experiments.discs.crops import QUESTIONS, DiscCropConfig, DiscSet, cut_discs  # noqa: E402
from stenograde.experiments.discs.recipe import DiscRecipe  # noqa: E402
from stenograde.experiments.discs.run import TESTS, run_discs  # noqa: E402
from stenograde.experiments.discs.store import cut_once, keep_bundle, read_disc_result  # noqa: E402
from stenograde.experiments.discs.table import page_of  # noqa: E402
from stenograde.experiments.pages.score_tables import as_markdown, write_tables  # noqa: E402
from stenograde.experiments.recipes.read import read_as  # noqa: E402
from stenograde.nets.middle_maps import MiddleMaps  # noqa: E402
from stenograde.predict.bundle import default_bundle  # noqa: E402
from stenograde.terms import Level  # noqa: E402
from stenograde.train.discs.net import yes_or_no_loss  # noqa: E402

BUNDLE = SimpleNamespace(hash="abc")


def marked_at(*points: tuple[str, float, float]) -> object:
    return lambda *_: SimpleNamespace(points=points)


@pytest.fixture
def recipe() -> DiscRecipe:
    shipped = read_as(DiscRecipe, "s3-spider")
    return replace(
        shipped,
        folds=2,
        net=replace(shipped.net, widths=(32, 32), hidden=8, dropout=0.0),
        fit=replace(
            shipped.fit, epochs=12, batch=16, learning_rate=5e-3, average=0.0, workers=0, accelerator="cpu"
        ),
        augment=replace(shipped.augment, erase=0.0),
        crops=DiscCropConfig(rows=24, columns=24),
    )


def discs(n_patients: int, *, first: int = 0, seed: int = 0) -> DiscSet:
    """A disc that has every finding is dark in the middle of each of its crops; T2 SPACE is seldom there."""
    rng = np.random.default_rng([seed, first])
    n = n_patients * len(LEVELS)
    ill = rng.random(n) < 0.4
    crops = np.clip(rng.normal(128, 10, (n, 3, 24, 24)), 0, 255).astype(np.uint8)
    crops[ill, :, 8:16, 8:16] = 40
    there = np.ones((n, 3), bool)
    there[:, 2] = rng.random(n) < 0.2
    there[::7, 0] = False
    answers = np.repeat(ill[:, None].astype(np.float32), len(QUESTIONS), axis=1)
    answers[3, 0] = np.nan
    patients = tuple(f"p{first + k // len(LEVELS)}" for k in range(n))
    return DiscSet(crops, there, answers, patients, tuple(LEVELS) * n_patients, ("a note",))


def test_a_crop_shows_what_lies_where_in_millimetres(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spot 10 mm below and 6 mm behind a disc, in a spine that leans by 30 degrees, of oblong pixels."""
    spacing = np.array([0.5, 0.8])
    down = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    back = np.array([-down[1], down[0]])
    centre = np.array([60.0, 80.0])
    spot = centre + 10 * down + 6 * back
    rows, columns = np.indices((300, 250))
    far = np.hypot(rows * spacing[0] - spot[0], columns * spacing[1] - spot[1])
    picture = np.exp(-((far / 1.5) ** 2)).astype(np.float32)
    points = [
        (name, *((centre + k * 30 * down) / spacing))
        for k, name in ((-1, "L3/L4"), (0, "L4/L5"), (1, "L5/S1"))
    ]
    monkeypatch.setattr(cutting, "mark_picture", marked_at(*points, ("T12/L1", 1.0, 1.0)))
    one = MarkedSlice("1_t2", "1", picture, None, (0.5, 0.8))
    config = DiscCropConfig(rows=64, columns=64, pixel_mm=0.5, behind_mm=4.0)
    crops = cut_discs(one, BUNDLE, config)  # type: ignore[arg-type]
    assert set(crops) == {Level.L3_L4, Level.L4_L5, Level.L5_S1}
    crop = crops[Level.L4_L5]
    found = np.argwhere(crop == crop.max()).mean(axis=0)
    np.testing.assert_allclose(found, [31.5 + 10 / 0.5, 31.5 + (6 - 4) / 0.5], atol=1.0)


def test_graded_discs_are_read_with_their_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "spider_midsagittal"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("1_t1", "1_t2", "2_t2", "3_t2"):
        Image.fromarray(rng.integers(0, 255, (90, 70), np.uint8)).save(folder / "images" / f"{name}.png")
    listed = "".join(f'{name},"[1.0, 1.0]"\n' for name in ("1_t1", "1_t2", "2_t2", "3_t2"))
    (folder / "overview.csv").write_text("new_file_name,PixelSpacing\n" + listed)
    head = "Patient,IVD label,Disc herniation,Disc narrowing,Disc bulging,Pfirrman grade\n"
    (folder / "radiological_gradings.csv").write_text(
        head + "1,1,0,1,1,4\n1,7,0,0,0,1\n2,1,1,0,,2\n2,2,0,0,0,1\n"
    )
    monkeypatch.setattr(cutting, "mark_picture", marked_at(("L5/S1", 60.0, 30.0), ("L3/L4", 20.0, 30.0)))
    config = DiscCropConfig(rows=16, columns=16)
    found = cut_once(tmp_path, BUNDLE, config, tmp_path / "o")  # type: ignore[arg-type]
    assert found.names == ("1/l5_s1", "2/l5_s1")
    assert found.there.tolist() == [[True, True, False], [False, True, False]]
    np.testing.assert_array_equal(found.answers, [[1, 0, 1, 1, 1, 1, 0], [0, 1, np.nan, 1, 0, 0, 0]])
    assert found.notes == ("1 graded discs of 3 slices were not found there",)
    monkeypatch.setattr(cutting, "mark_picture", marked_at())
    again = cut_once(tmp_path, BUNDLE, config, tmp_path / "o")  # type: ignore[arg-type]
    np.testing.assert_array_equal(again.crops, found.crops)
    with pytest.raises(ConfigError, match=r"discs in .* another crops"):
        cut_once(tmp_path, BUNDLE, replace(config, rows=20), tmp_path / "o")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="got none in which a graded disc was found"):
        cut_once(tmp_path, BUNDLE, config, tmp_path / "other")  # type: ignore[arg-type]


def test_answers_and_sets_that_are_not_there_cost_nothing() -> None:
    nan = float("nan")
    output = torch.tensor([[[0.0, 9.0], [1.0, 2.0]], [[-1.0, 0.5], [nan, nan]]], requires_grad=True)
    target = torch.tensor([[1.0, nan], [0.0, 1.0]])
    loss = yes_or_no_loss(output, {"target": target})
    loss.backward()

    def lost(logit: float, yes: float) -> float:
        return float(np.log1p(np.exp(-logit if yes else logit)))

    whole = np.mean([lost(0.0, 1), lost(-1.0, 0), lost(0.5, 1)])
    assert loss.item() == pytest.approx((whole + lost(1.0, 1)) / 2)
    assert torch.isfinite(output.grad).all()
    alone = yes_or_no_loss(output[:, :1], {"target": target})
    assert alone.item() == pytest.approx(whole)


def test_findings_are_learnt_from_any_series_and_held_out_patients_scored(
    recipe: DiscRecipe, tmp_path: Path
) -> None:
    result = run_discs(recipe, discs(24), out=tmp_path)
    for name in TESTS:
        assert result.tested.scores[name]["narrowing"].value > 0.9, name
    prior = result.tested.scores["level prior"]["narrowing"]
    assert prior.value < 0.7
    assert result.tested.discs == int(discs(24).there[:, 0].sum())
    again = run_discs(recipe, discs(24), out=tmp_path, held_out=discs(8, first=100))
    assert again.held_out is not None
    assert again.held_out.scores["both fused"]["herniation"].value > 0.9
    assert str(again.tested.scores) == str(result.tested.scores), "fitted once"
    told = page_of(again)
    text = as_markdown(told)
    assert text.count("both fused, T1 missing at test") == 2
    page = write_tables(told, tmp_path).read_text(encoding="utf-8")
    assert "Patients held out" in page
    assert "a note" in page
    with pytest.raises(DatasetError, match="got 1 that are in both"):
        run_discs(recipe, discs(24), out=tmp_path, held_out=discs(1))
    assert "p3" not in text


def test_nets_of_other_folds_or_discs_are_not_taken_for_these(recipe: DiscRecipe, tmp_path: Path) -> None:
    """Nets that were fitted on patients whom other folds test would leak."""
    short = replace(recipe, fit=replace(recipe.fit, epochs=1))
    run_discs(short, discs(6), out=tmp_path)
    for other in (replace(short, folds=3), replace(short, seed=1)):
        with pytest.raises(ConfigError, match=r"nets in .* must be of the same settings"):
            run_discs(other, discs(6), out=tmp_path)
    with pytest.raises(ConfigError, match="another discs_sha256"):
        run_discs(short, discs(6, seed=1), out=tmp_path)


def test_a_result_knows_its_recipe_its_discs_and_its_bundle(
    recipe: DiscRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatasetError, match="must hold a result of s3-spider"):
        read_disc_result(tmp_path)
    bundle = default_bundle()
    assert keep_bundle(bundle, tmp_path).hash == bundle.hash
    monkeypatch.setattr(storing, "read_discs", lambda *_, **__: discs(6))
    cut = cut_once(tmp_path, bundle, recipe.crops, tmp_path / "crops")
    short = replace(recipe, fit=replace(recipe.fit, epochs=1))
    run_discs(short, cut, out=tmp_path)
    read, kept, found_by, weights = read_disc_result(tmp_path)
    assert (read, kept.digest, found_by.hash, weights) == (short, discs(6).digest, bundle.hash, None)


def test_a_frozen_encoder_starts_where_it_is_told_and_a_result_says_so(
    recipe: DiscRecipe, tmp_path: Path
) -> None:
    frozen = replace(recipe.net, frozen="tf_efficientnet_lite0", grid=1)
    short = replace(recipe, net=frozen, fit=replace(recipe.fit, epochs=1))
    stored = {
        name: value + 1
        for name, value in MiddleMaps().encoder.state_dict().items()
        if value.is_floating_point()
    }
    weights = tmp_path / "w.safetensors"
    save_file(stored, weights)
    result = run_discs(short, discs(4), out=tmp_path / "o", weights=weights)
    assert f"frozen tf_efficientnet_lite0: {weights}" in page_of(result).chips
    with pytest.raises(ConfigError, match="another weights"):
        run_discs(short, discs(4), out=tmp_path / "o")
    alone = run_discs(short, discs(4), out=tmp_path / "r")
    assert "frozen tf_efficientnet_lite0: random weights" in alone.notes


def test_recipes_that_cannot_be_are_refused(recipe: DiscRecipe) -> None:
    with pytest.raises(ValueError, match="must take 3 series and 5 levels to 7 answers"):
        replace(recipe, net=replace(recipe.net, levels=4))
    with pytest.raises(ValueError, match="back in front"):
        replace(recipe, augment=replace(recipe.augment, flip="horizontal"))
    with pytest.raises(ConfigError, match=r"path ending in \.toml, got 's9'"):
        read_as(DiscRecipe, "s9")
