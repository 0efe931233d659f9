"""The linear layer over a frozen encoder is the one that scikit-learn fits to the same features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import log_loss  # noqa: E402
from sklearn.model_selection import GroupKFold, cross_val_predict  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402

from stenograde.datasets.split import folds_by_patient  # noqa: E402
from stenograde.errors import DatasetError  # noqa: E402
from stenograde.images.pictures import InputConfig  # noqa: E402
from stenograde.nets.middle_maps import MiddleMaps, pooled  # noqa: E402
from stenograde.nets.middle_maps_classifier import MiddleMapsClassifier, MiddleMapsConfig  # noqa: E402
from stenograde.train.pictures.fixed_head import FixedHeadConfig, fit_head, kept_features  # noqa: E402


def made(classes: int = 3, extra: int = 0, *, ordinal: bool = False) -> MiddleMapsClassifier:
    torch.manual_seed(0)
    shape = {
        "encoder": "tf_efficientnet_lite0",
        "stages": (1,),
        "grid": 2,
        "look_px": 32,
        "size_px": (32, 32),
    }
    return MiddleMapsClassifier(
        MiddleMapsConfig(**shape, classes=classes, extra=extra, ordinal=ordinal)
    ).eval()


def rows(net: MiddleMapsClassifier, n: int, classes: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features of which the first few say the class, labels, and patients of three each."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, classes, n)
    features = rng.normal(size=(n, net.width)).astype(np.float32) * rng.uniform(0.1, 9, net.width).astype(
        np.float32
    )
    features[:, :8] += codes[:, None] * 3
    return features, codes, [str(k // 3) for k in range(n)]


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_scikit_learns(classes: int, balanced: bool) -> None:
    net = made(classes)
    features, codes, patients = rows(net, 90, classes)
    fit_head(net, features, codes, FixedHeadConfig(strengths=(2.0,)), patients=patients, balanced=balanced)
    with torch.no_grad():
        found = net.head(torch.from_numpy(features)).double().softmax(1).numpy()
    scaled = StandardScaler().fit_transform(features.astype(float)) / np.sqrt(net.width)
    how = "balanced" if balanced else None
    wanted = LogisticRegression(C=2.0, class_weight=how, tol=1e-8, max_iter=5000).fit(scaled, codes)
    np.testing.assert_allclose(found, wanted.predict_proba(scaled), atol=2e-3)


def test_an_ordinal_head_asks_scikit_learn_whether_it_is_worse_than_each_class() -> None:
    net = made(3, ordinal=True)
    features, codes, patients = rows(net, 90, 3)
    fit_head(net, features, codes, FixedHeadConfig(strengths=(2.0,)), patients=patients, balanced=True)
    with torch.no_grad():
        found = net.logits(torch.from_numpy(features)).double().softmax(1).numpy()
    scaled = StandardScaler().fit_transform(features.astype(float)) / np.sqrt(net.width)
    weights = compute_sample_weight("balanced", codes)
    for k in (0, 1):
        wanted = LogisticRegression(C=2.0, tol=1e-8, max_iter=5000).fit(scaled, codes > k, weights)
        np.testing.assert_allclose(
            found[:, k + 1 :].sum(axis=1), wanted.predict_proba(scaled)[:, 1], atol=3e-3
        )


def test_a_class_that_a_fold_lacks_is_not_said_there() -> None:
    net = made(3)
    features, codes, _ = rows(net, 90, 3)
    one = np.where(np.arange(90) == 7, 2, np.minimum(codes, 1))
    for ordinal in (False, True):
        net = made(3, ordinal=ordinal)
        chosen = fit_head(net, features, one, FixedHeadConfig(), patients=[str(k) for k in range(90)])
        assert np.isfinite(chosen.log_losses).all()
        with torch.no_grad():
            said = net.logits(torch.from_numpy(features)).argmax(1).numpy()
        assert (said[one < 2] == one[one < 2]).mean() > 0.9


def test_further_inputs_are_used() -> None:
    net = made(3, extra=3)
    features, codes, patients = rows(net, 90, 3)
    level = np.eye(3, dtype=np.float32)[codes]
    noise = np.random.default_rng(0).normal(size=features.shape).astype(np.float32)
    fit_head(net, noise, codes, FixedHeadConfig(strengths=(10.0,)), patients=patients, extra=level)
    with torch.no_grad():
        said = net.head(torch.from_numpy(noise), torch.from_numpy(level)).argmax(1).numpy()
        other = (
            net.head(torch.from_numpy(noise), torch.from_numpy(np.roll(level, 1, axis=1))).argmax(1).numpy()
        )
    assert (said == codes).mean() > 0.95
    assert (other == codes).mean() < (said == codes).mean()


def test_the_penalty_is_chosen_on_patients_that_were_left_out() -> None:
    net = made()
    features, codes, patients = rows(net, 90, 3)
    strengths = (0.01, 1.0, 100.0)
    chosen = fit_head(net, features, codes, FixedHeadConfig(strengths=strengths, folds=3), patients=patients)
    scaled = StandardScaler().fit_transform(features.astype(float)) / np.sqrt(net.width)
    fold_of = np.zeros(90, int)
    for number, fold in enumerate(folds_by_patient(patients, folds=3, seed=0)):
        fold_of[fold.test] = number
    for strength, loss in zip(strengths, chosen.log_losses, strict=True):
        said = cross_val_predict(
            LogisticRegression(C=strength, tol=1e-8, max_iter=5000),
            scaled,
            codes,
            groups=fold_of,
            cv=GroupKFold(3),
            method="predict_proba",
        )
        assert loss == pytest.approx(log_loss(codes, said), rel=0.01)
    assert chosen.strength == strengths[int(np.argmin(chosen.log_losses))]


def test_too_few_patients_and_missing_classes_are_refused() -> None:
    net = made()
    features, codes, _ = rows(net, 30, 3)
    with pytest.raises(DatasetError, match="4 folds need at least 8 patients, got 2"):
        fit_head(net, features, codes, FixedHeadConfig(), patients=["a"] * 15 + ["b"] * 15)
    with pytest.raises(ValueError, match="each of 3 classes must be trained on"):
        fit_head(net, features, np.minimum(codes, 1), FixedHeadConfig(), patients=[str(k) for k in range(30)])


def test_features_are_kept_and_made_again_for_other_weights(tmp_path: Path) -> None:
    net, how = made(), InputConfig(channels=1, mean=(0.4,), std=(0.25,))
    net.takes(0.4, 0.25)
    pictures = np.random.default_rng(0).integers(0, 255, (3, 32, 32), np.uint8)
    first = kept_features(net, pictures, how, tmp_path)
    again = kept_features(net, pictures, how, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(first, again)
    # the same by the brick alone, which takes grey values from -1 to 1
    with torch.no_grad():
        grey = torch.from_numpy(pictures)[:, None].float() / 127.5 - 1
        alone = pooled(net.maps(grey), 2).flatten(1).numpy()
    np.testing.assert_allclose(first, alone, atol=1e-4 * float(np.abs(alone).max()))
    mirrored = kept_features(net, pictures, how, tmp_path, mirrored=True)
    flipped = kept_features(net, pictures[:, :, ::-1], how, tmp_path)
    np.testing.assert_allclose(mirrored, (first + flipped) / 2, atol=1e-5)
    torch.manual_seed(1)
    other = MiddleMapsClassifier(net.config).eval()
    other.takes(0.4, 0.25)
    assert not np.allclose(kept_features(other, pictures, how, tmp_path), first)


def test_maps_behind_the_middle_and_grids_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"middle_maps.stages must be some of 0 to 6, got \(3, 7\)"):
        MiddleMapsConfig("tf_efficientnet_lite0", stages=(3, 7))
    with pytest.raises(
        ValueError, match="look_px must be a multiple of 16 px for each of the grid's rows, got 100"
    ):
        MiddleMapsConfig("tf_efficientnet_lite0", look_px=100)
    with pytest.raises(
        ValueError, match="look_px must be a multiple of 32 px for each of the grid's rows, got 160"
    ):
        MiddleMapsConfig("tf_efficientnet_lite0", stages=(4, 5), look_px=160)
    with pytest.raises(ValueError, match=r"closer must be shares between 0 and 1, got \(1.0,\)"):
        MiddleMapsConfig("tf_efficientnet_lite0", closer=(1.0,))


def test_a_closer_look_is_that_at_the_middle_of_the_picture() -> None:
    torch.manual_seed(0)
    net = MiddleMapsClassifier(
        MiddleMapsConfig(
            "tf_efficientnet_lite0", stages=(1,), grid=2, look_px=32, size_px=(32, 32), closer=(0.5,)
        )
    ).eval()
    pictures = torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        seen = net.features(pictures)
        grey = pictures * 2 - 1
        middle = torch.nn.functional.interpolate(grey[:, :, 8:24, 8:24], scale_factor=2, mode="bilinear")
        apart = [pooled(net.maps(one), 2).flatten(1) for one in (grey, middle)]
    torch.testing.assert_close(seen, torch.cat(apart, dim=1), rtol=1e-4, atol=1e-4)


def test_the_frozen_part_is_that_of_the_brick() -> None:
    torch.manual_seed(0)
    whole = MiddleMaps("tf_efficientnet_lite0", (1,))
    torch.manual_seed(0)
    net = made()
    for name, value in net.maps.encoder.net.state_dict().items():
        torch.testing.assert_close(value, whole.encoder.net.state_dict()[name])
