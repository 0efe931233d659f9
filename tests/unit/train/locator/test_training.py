"""From a folder of slices to a bundle that loads, with patient-disjoint scores in its card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.spider_files import write_spider  # noqa: E402

from stenograde.datasets.spider import read_space_slices, read_spider  # noqa: E402
from stenograde.errors import BundleError  # noqa: E402
from stenograde.nets.locator import Locator, LocatorConfig  # noqa: E402
from stenograde.phantom import ProtocolMix  # noqa: E402
from stenograde.predict.bundle import load_bundle  # noqa: E402
from stenograde.train.locator.augment import AugmentConfig  # noqa: E402
from stenograde.train.locator.phantom_slices import PhantomSlicesConfig  # noqa: E402
from stenograde.train.locator.training import (  # noqa: E402
    LocatorTraining,
    dice_of,
    train_locator,
)
from stenograde.train.loop.fit import FitConfig  # noqa: E402
from stenograde.train.weights.export import check_export, export_locator, load_locator  # noqa: E402
from stenograde.workers import Step  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::UserWarning")

NET = LocatorConfig(widths=(4, 6))
TINY = LocatorTraining(
    net=NET,
    augment=AugmentConfig(size_px=(64, 64)),
    first=FitConfig(epochs=1, batch=2, workers=0, precision="32", accelerator="cpu"),
    second=FitConfig(epochs=1, batch=2, workers=0, precision="32", accelerator="cpu"),
    finish=FitConfig(epochs=1, batch=2, workers=0, precision="32", accelerator="cpu"),
    finish_augment=AugmentConfig(size_px=(64, 64)),
    folds=2,
    virtual=PhantomSlicesConfig(patients=1, slices=2, mix=ProtocolMix(stir_share=1.0), layers=1),
    start=FitConfig(epochs=1, batch=2, workers=0, precision="32", accelerator="cpu"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    data = write_spider(tmp_path_factory.mktemp("data"))
    out = tmp_path_factory.mktemp("bundle")
    return data, train_locator(read_spider(data), out, TINY)


def test_the_bundle_loads_and_runs(trained: tuple[Path, Path]) -> None:
    bundle = load_bundle(trained[1])
    logits = bundle.locate(np.zeros((1, 1, 24, 16), np.float32))
    assert logits.shape == (1, 6, 24, 16)


def test_graph_and_weights_give_the_same(trained: tuple[Path, Path]) -> None:
    bundle = load_bundle(trained[1])
    net = load_locator(bundle.table.locator, trained[1]).eval()
    assert (
        check_export(
            net, trained[1] / "locator.onnx", {"slices": torch.randn(1, 1, 5 * NET.stride, 7 * NET.stride)}
        )
        < 1e-3
    )


def test_scores_are_by_patient_and_stand_in_the_card(trained: tuple[Path, Path]) -> None:
    folds = [json.loads(path.read_text()) for path in sorted((trained[1] / "training").glob("fold-*.json"))]
    patients = [{name.split("_")[0] for name in fold} for fold in folds]
    assert patients[0] | patients[1] == {"1", "2", "3", "4"}
    assert not patients[0] & patients[1]
    assert "| 1 | 2 | 2 |" in load_bundle(trained[1]).card


def test_training_again_with_the_same_folder_fits_nothing_anew(trained: tuple[Path, Path]) -> None:
    calls: list[Step] = []
    train_locator(read_spider(trained[0]), trained[1], TINY, progress=calls.append)
    assert calls == []


def test_dice_against_scikit_learn(trained: tuple[Path, Path]) -> None:
    from sklearn.metrics import f1_score

    from stenograde.train.locator.training import mark_slice

    net, one = Locator(NET).eval(), read_space_slices(trained[0])[0]
    ours = dice_of(net, NET, one)
    mask = mark_slice(net, NET, one)[0]
    assert one.mask is not None
    wanted = f1_score(one.mask.ravel(), mask.ravel(), labels=[1, 2, 3], average=None, zero_division=0)
    assert list(ours.values()) == pytest.approx(list(wanted))


def test_an_export_that_differs_is_refused(tmp_path: Path) -> None:
    net = Locator(NET).eval()
    export_locator(net, NET, tmp_path)
    with torch.no_grad():
        net.head.bias += 1
    with pytest.raises(BundleError, match=r"within 0\.001, got a difference of 1"):
        check_export(
            net, tmp_path / "locator.onnx", {"slices": torch.zeros(1, 1, 8 * NET.stride, 4 * NET.stride)}
        )


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    entry = export_locator(Locator(NET).eval(), NET, tmp_path)
    with pytest.raises(BundleError, match=r"must fit a locator of widths \(8, 6\)"):
        load_locator(replace(entry, widths=(8, 6)), tmp_path)


def test_without_phantoms_a_net_starts_from_nothing(tmp_path: Path, trained: tuple[Path, Path]) -> None:
    config = replace(TINY, virtual=replace(TINY.virtual, patients=0), folds=0)
    steps: list[Step] = []
    train_locator(read_spider(trained[0]), tmp_path, config, progress=steps.append)
    fitted = {step.what for step in steps}
    assert not fitted & {"phantoms", "start"}
    assert "all.finish" in fitted


def test_one_fold_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, got 1"):
        LocatorTraining(folds=1)


def test_a_negative_share_of_phantom_slices_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more, got -1"):
        LocatorTraining(virtual_share=-1.0)
