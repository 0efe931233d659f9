"""A net of one's own for discs: it learns what is in crops, and its graph answers as it does, torch apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("sklearn", reason="needs the extra 'tabular'")

from sklearn.metrics import roc_auc_score  # noqa: E402

from stenograde.errors import BundleError  # noqa: E402
from stenograde.levels.disc_crop import DiscCropConfig  # noqa: E402
from stenograde.predict.disc_net import DiscNetEntry, open_disc_net  # noqa: E402
from stenograde.predict.weight_files import WeightFile  # noqa: E402
from stenograde.train.discs.features import QUESTIONS, DiscTable  # noqa: E402
from stenograde.train.discs.net import DiscNetFit, fit_disc_net, write_disc_net  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "default::DeprecationWarning"
)  # the exporter without dynamo warns of its age

VIEW = DiscCropConfig(rows=24, columns=32)
SHIPPED = DiscNetFit(VIEW)
HOW = replace(
    SHIPPED,
    net=replace(SHIPPED.net, widths=(16, 32), hidden=8, dropout=0.0),
    fit=replace(SHIPPED.fit, epochs=12, learning_rate=5e-3, average=0.0, workers=0, accelerator="cpu"),
    augment=replace(SHIPPED.augment, erase=0.0),
)


def table(n: int = 160, seed: int = 0) -> DiscTable:
    """A disc that has every finding is dark in its middle, in each series that is there; T1 is often not."""
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.4
    crops = rng.normal(0, 0.1, (n, 2, 24, 32)).astype(np.float32)
    crops[ill, :, 8:16, 10:22] -= 0.6
    there = np.stack([rng.random(n) < 0.6, np.ones(n, bool)], axis=1)
    answers = np.repeat(ill[:, None].astype(float), len(QUESTIONS), axis=1)
    answers[rng.random(answers.shape) < 0.1] = np.nan
    patients = tuple(str(k // 5) for k in range(n))
    features = np.zeros((n, 2, 1), np.float32)
    return DiscTable(features, there, answers, np.arange(n) % 5, patients, crops=crops.clip(-1, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("nets")
    net = fit_disc_net(table(), range(160), HOW, made / "fit")
    write_disc_net(net, made / "net.onnx", ASKED, VIEW)
    return made


ASKED = ("narrowing", "bulging")
ENTRY = DiscNetEntry(WeightFile("net.onnx", ""), VIEW, ASKED)


def test_what_crops_show_is_learnt_from_either_series_alone_and_from_both(folder: Path) -> None:
    net = open_disc_net(folder, ENTRY, tuple(QUESTIONS))
    assert [tuple(QUESTIONS)[place] for place in net.places] == list(ASKED)
    unseen = table(seed=1)
    assert unseen.crops is not None
    known = ~np.isnan(unseen.answers[:, 0])
    for series, at in ((("t1", "t2"), [0, 1]), (("t1",), [0]), (("t2",), [1])):
        said = net.logits(unseen.crops[:, at], unseen.levels, series)
        assert said.shape == (160, 2)
        assert roc_auc_score(unseen.answers[known, 0], said[known, 0]) > 0.95, series


def test_the_graph_says_what_the_net_says_of_crops_in_standard_deviations(folder: Path) -> None:
    net = fit_disc_net(table(), range(160), HOW, folder / "fit")  # read, not fitted again
    unseen = table(seed=2)
    assert unseen.crops is not None
    level = np.eye(5)[unseen.levels]
    extra = torch.tensor(np.concatenate([np.ones((160, 2)), level], axis=1), dtype=torch.float32)
    with torch.inference_mode():
        wanted = net(3 * torch.from_numpy(unseen.crops), extra)[:, [0, 2]].numpy()
    said = open_disc_net(folder, ENTRY, ASKED).logits(unseen.crops, unseen.levels, ("t1", "t2"))
    np.testing.assert_allclose(said, wanted, atol=0.05)  # kernels in 16 bits


def test_a_graph_of_other_questions_or_crops_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError, match="give 1 answers"):
        open_disc_net(folder, replace(ENTRY, questions=ASKED[:1]), ASKED)
    with pytest.raises(BundleError, match="to some of herniation"):
        open_disc_net(folder, ENTRY, ("herniation",))
    with pytest.raises(BundleError, match=r"net\.onnx must take"):
        open_disc_net(folder, replace(ENTRY, view=DiscCropConfig(rows=32, columns=32)), ASKED)


def test_a_net_of_other_questions_is_refused() -> None:
    with pytest.raises(ValueError, match="must take 2 series and 5 levels to 11 answers"):
        replace(SHIPPED, net=replace(SHIPPED.net, questions=7))
