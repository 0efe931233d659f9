"""From phantoms to a bundle whose heads answer for the subarticular zones and whose grader answers for the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.errors import BundleError, ConfigError
from stenograde.levels.crop import CropConfig, CropKind
from stenograde.nets.efficientnet_lite import PACKAGES
from stenograde.phantom import Protocol
from stenograde.predict.bundle import Bundle, default_bundle, load_bundle
from stenograde.predict.fixed_heads import crop_features
from stenograde.terms import Condition, Role
from stenograde.train.grader.crops import CropsConfig, CropSet, Part, as_values, make_crops
from stenograde.train.heads.bundle import train_heads
from stenograde.train.heads.training import HeadsTraining, fit_condition, look_at

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.filterwarnings("default::UserWarning"),
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),
]

LITE = "tf_efficientnet_lite0"
RECESS = Condition.SUBARTICULAR_STENOSIS
COARSE = Protocol(axial_matrix=80, axial_slices_per_level=3, thickness_mm=8.0, layers=1)
TINY = HeadsTraining(
    data=CropsConfig(
        crops=CropConfig(slices=2, size_px=48, grid_mm=1.2), protocol=COARSE, roles=(Role.AXIAL_T2,)
    ),
    stages=(2,),
    grid=2,
    folds=2,
    looks=2,
)


def grader_alone() -> Bundle:
    """The shipped bundle without small heads."""
    whole = default_bundle()
    return replace(whole, table=replace(whole.table, middle_maps=None, fixed=None, discs=None))


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropSet:
    return make_crops(tmp_path_factory.mktemp("crops"), TINY.data, part=Part.TRAIN, patients=6, seed=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, crops: CropSet) -> Path:
    pytest.importorskip(PACKAGES[LITE], reason="needs the extra 'weights'")
    return train_heads(tmp_path_factory.mktemp("heads"), TINY, crops, seed=2, base=grader_alone())


def test_only_the_series_that_heads_read_are_rendered(crops: CropSet) -> None:
    axial = tuple(CropKind).index(CropKind.AXIAL_T2)
    assert crops.present[..., axial].all()
    assert not np.delete(crops.present, axial, axis=3).any()
    with pytest.raises(ValueError, match=r"data\.roles must have the series that the head of"):
        replace(TINY, reads={RECESS.value: CropKind.FORAMEN_T1})


def test_the_bundle_answers_with_the_heads_that_were_fitted(trained: Path, crops: CropSet) -> None:
    bundle = load_bundle(trained)
    assert bundle.table.fixed is not None
    axial = tuple(CropKind).index(CropKind.AXIAL_T2)
    looked = look_at(crops, CropKind.AXIAL_T2, TINY, (trained, bundle.middle_maps[1]))
    fitted = fit_condition(RECESS, looked, crops, TINY)
    values = as_values(crops.crops[0])[:, :, axial]
    features = crop_features(values, TINY.grid, bundle.middle_maps)
    np.testing.assert_allclose(features, looked.features[0], atol=1e-6)
    places = np.arange(5)
    ours, theirs = bundle.fixed_heads[RECESS], fitted.head
    said = [one.probabilities(one.off_usual(features[:, 0], places), places) for one in (ours, theirs)]
    np.testing.assert_allclose(*said, atol=0.02)  # kept in 16 bits
    assert bundle.table.fixed.usual_below[RECESS.value] == fitted.usual_below
    np.testing.assert_allclose(ours.shares, np.array(TINY.data.population.severity_shares[RECESS]))


def test_looks_after_the_first_are_changed_and_the_first_is_not(crops: CropSet, trained: Path) -> None:
    maps = load_bundle(trained).middle_maps[1]
    plain = look_at(crops, CropKind.AXIAL_T2, replace(TINY, looks=1), (trained, maps))
    both = look_at(crops, CropKind.AXIAL_T2, TINY, (trained, maps))
    np.testing.assert_array_equal(both.features[:6], plain.features)
    assert abs(both.features[6:] - plain.features).max() > 0.1
    np.testing.assert_array_equal(both.noise, plain.noise)


def test_the_grader_and_its_texts_come_along(trained: Path) -> None:
    bundle, base = load_bundle(trained), default_bundle()
    assert bundle.table.grader == base.table.grader
    assert bundle.table.locator == base.table.locator
    assert "6 phantoms (seed 2)" in bundle.card
    assert "Small heads answer for subarticular stenosis" in bundle.card
    assert "level grader" in (trained / "grader-card.md").read_text(encoding="utf-8")
    told = json.loads((trained / "training.json").read_text(encoding="utf-8"))
    assert told["training"]["strength"] == TINY.strength
    assert told["out_of_fold"][RECESS.value]["cells"] == 60
    assert all(one.is_draft for condition, one in bundle.evidence.items() if condition is RECESS)


def test_an_altered_file_is_refused(trained: Path, tmp_path: Path) -> None:
    for file in trained.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "fixed-heads.npz").write_bytes(b"tampered")
    with pytest.raises(BundleError, match=r"fixed-heads\.npz must have SHA-256"):
        load_bundle(tmp_path)


def test_training_again_on_its_own_bundle_gives_the_same_heads(
    trained: Path, crops: CropSet, tmp_path: Path
) -> None:
    again = load_bundle(train_heads(tmp_path, TINY, crops, seed=2, base=load_bundle(trained)))
    assert again.table.fixed == load_bundle(trained).table.fixed
    assert (tmp_path / "grader-card.md").read_bytes() == (trained / "grader-card.md").read_bytes()


def test_a_base_with_other_maps_is_refused(trained: Path, crops: CropSet, tmp_path: Path) -> None:
    other = replace(TINY, stages=(3,))
    with pytest.raises(
        ConfigError, match=r"middle maps of stages \(3,\) of tf_efficientnet_lite0, got stages \(2,\)"
    ):
        train_heads(tmp_path, other, crops, seed=2, base=load_bundle(trained))


def test_a_base_without_a_grader_is_refused(crops: CropSet, tmp_path: Path) -> None:
    whole = grader_alone()
    base = replace(whole, table=replace(whole.table, grader=None))
    with pytest.raises(ConfigError, match="--base must be a bundle with a grader"):
        train_heads(tmp_path, TINY, crops, seed=2, base=base)
