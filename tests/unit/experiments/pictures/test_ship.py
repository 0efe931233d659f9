"""A recipe and its result become a bundle that classifies without torch and tells where its scores come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.made_results import made_result
from tests.planted_pictures import canal_set

from stenograde.errors import ConfigError
from stenograde.experiments.pictures.recipe import Recipe, read_recipe
from stenograde.experiments.pictures.run import run_experiment
from stenograde.experiments.pictures.ship import Shipping, ship
from stenograde.nets.encoder import SmallResnet
from stenograde.nets.slice_classifier import OWN_ENCODERS
from stenograde.predict.classifier import load_classifier
from stenograde.train.loop.checkpoint import write_weights

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # the exporter without dynamo warns of its age
]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    whole = read_recipe("axial-canal")
    return replace(
        whole,
        beside=(),
        picture=replace(whole.picture, size_px=(32, 32)),
        fit=replace(whole.fit, epochs=1, batch=8),
        protocols=replace(whole.protocols, patient=replace(whole.protocols.patient, folds=2)),
    )


def test_a_shipped_recipe_classifies_and_its_card_has_the_scores(recipe: Recipe, tmp_path: Path) -> None:
    samples = canal_set(8)
    recipe = replace(recipe, starts=2)
    result = run_experiment(recipe, samples, "patient", out=tmp_path / "result")
    out = tmp_path / "bundle"
    out.mkdir()
    ship(recipe, samples, result, Shipping("planted", "0"), out=out)
    classifier = load_classifier(out)
    shown = samples.samples[:4]
    prepared = np.stack([classifier.prepare(one.picture.read(), one.level) for one in shown])
    said = classifier.classify(prepared, [one.level for one in shown])
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert len(classifier.table.graphs) == 2
    score = result.main.scores["auc_any"].value
    assert np.isfinite(score)
    assert f"{score:.3f}" in classifier.card
    assert "pre-trained: no" in classifier.card
    assert not (out / "training").exists()
    other = replace(recipe, mirrored=False)
    with pytest.raises(ConfigError, match="other settings of mirrored"):
        ship(other, samples, result, Shipping("planted", "0"), out=out)


def test_weights_from_a_file_ship_with_what_they_learnt_from_alone(recipe: Recipe, tmp_path: Path) -> None:
    samples = canal_set(8)
    recipe = replace(recipe, starts=1)
    start = tmp_path / "encoder.safetensors"
    write_weights(SmallResnet(OWN_ENCODERS["resnet_fine"]), start)
    result = run_experiment(recipe, samples, "patient", out=tmp_path / "result", weights=start)
    out = tmp_path / "bundle"
    out.mkdir()
    with pytest.raises(
        ConfigError, match=r"--weights-from must say what encoder.safetensors was pre-trained"
    ):
        ship(recipe, samples, result, Shipping("planted", "0"), out=out, weights=start)
    with pytest.raises(ConfigError, match="--weights must be as in the result, got none"):
        ship(recipe, samples, result, Shipping("planted", "0"), out=out)
    shipping = Shipping("planted", "0", weights_from="Learnt from spines (CC BY 4.0).")
    ship(recipe, samples, result, shipping, out=out, weights=start)
    card = " ".join(load_classifier(out).card.split())
    assert "from encoder.safetensors**. Learnt from spines (CC BY 4.0)." in card
    assert "--weights encoder.safetensors --name planted" in card
    assert "Nothing else" not in card
    assert str(tmp_path) not in card


def test_a_recipe_that_needs_the_side_of_a_picture_is_not_shipped(tmp_path: Path) -> None:
    samples = canal_set(8)
    one_sided = read_recipe("s2")
    with pytest.raises(ConfigError, match="must take pictures as they are, got s2 with one_side"):
        ship(one_sided, samples, made_result(), Shipping("films", "1"), out=tmp_path)
