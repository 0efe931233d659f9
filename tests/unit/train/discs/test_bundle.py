"""Discs are read as a study's are; a bundle with their findings loads and says what they reach."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.spider_files import write_spider

pytest.importorskip("sklearn", reason="needs the extra 'tabular'")

from stenograde.errors import ConfigError, DatasetError
from stenograde.levels.disc_crop import DiscCropConfig
from stenograde.predict.bundle import default_bundle, load_bundle
from stenograde.train.discs import bundle as subject
from stenograde.train.discs import features as reading
from stenograde.train.discs.bundle import HEADLINE, DiscTraining, train_discs
from stenograde.train.discs.features import QUESTIONS, DiscTable, read_disc_table
from stenograde.train.discs.fitting import HeadFit
from stenograde.train.discs.net import DiscNetFit

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # the exporter without dynamo warns of its age
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),  # timm checks the size that it was given
]

VIEW = DiscCropConfig(rows=16, columns=16)
COLUMNS = (
    "Patient,IVD label,Modic,UP endplate,LOW endplate,Spondylolisthesis,Disc herniation,Disc narrowing,Disc bulging,"
    "Pfirrman grade"
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two patients with T1 and T2 SPACE, of whom one disc is not graded for bulging and one is not found."""
    folder = write_spider(tmp_path, patients=2)
    rows = ["1,1,0,1,0,0,0,1,1,4", "1,2,0,0,0,0,0,0,,2", "2,5,2,0,0,0,0,0,1,1", "2,6,0,0,0,0,0,0,1,1"]
    table = folder / "spider_midsagittal" / "radiological_gradings.csv"
    table.write_text("\n".join([COLUMNS, *rows]), encoding="utf-8")
    points = (("L5/S1", 120.0, 50.0), ("L4/L5", 90.0, 50.0), ("L3/L4", 60.0, 50.0))
    monkeypatch.setattr(reading, "mark_picture", lambda *_: SimpleNamespace(points=points))
    monkeypatch.setattr(
        reading, "features_of", lambda _, __, crops, ___: crops.mean(axis=(1, 2))[:, None, None, None]
    )
    return folder


def test_discs_are_read_with_what_was_graded_and_what_shows_them(data: Path) -> None:
    maps: Any = (None, None)
    table = read_disc_table(data, None, maps, (VIEW, VIEW), (1, 1))  # type: ignore[arg-type]
    assert table.names == ("1/l4_l5", "1/l5_s1")
    assert table.there.tolist() == [[True, True], [True, True]]
    assert table.features.shape == (2, 2, 2)
    assert table.crops is None
    places = {name: k for k, name in enumerate(QUESTIONS)}
    assert np.isnan(table.answers[0, places["bulging"]])
    assert table.answers[
        1, [places[name] for name in ("narrowing", "upper_end_plate", "herniation")]
    ].tolist() == [1, 1, 0]
    assert table.answers[1, [places[f"pfirrmann_{k}"] for k in (2, 3, 4, 5)]].tolist() == [1, 1, 1, 0]
    assert table.notes == ("2 graded discs of 4 slices were not found there",)


def test_a_net_looks_at_the_crops_that_features_are_taken_from(data: Path) -> None:
    maps: Any = (None, None)
    table = read_disc_table(data, None, maps, (VIEW,), (1, 1), look=VIEW)  # type: ignore[arg-type]
    assert table.crops is not None
    assert table.crops.shape == (2, 2, 16, 16)
    np.testing.assert_allclose(table.crops.mean(axis=(2, 3)), table.features[..., 0], atol=1e-6)


def test_a_grading_that_is_no_number_is_refused(data: Path) -> None:
    path = data / "spider_midsagittal" / "radiological_gradings.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("1,1,0,1", "1,1,x,1"), encoding="utf-8")
    with pytest.raises(
        DatasetError, match=r"'Modic' of radiological_gradings\.csv must be a number or empty, got 'x'"
    ):
        read_disc_table(data, None, (None, None), (VIEW,), (1, 1))  # type: ignore[arg-type]


def made_up() -> DiscTable:
    """Features of which one tells narrowing."""
    rng = np.random.default_rng(0)
    n = 200
    features = rng.normal(size=(n, 2, 152)).astype(np.float32)
    answers = (rng.uniform(size=(n, len(QUESTIONS))) < 0.5).astype(float)
    answers[:, 0] = features[:, 1, 0] > 0
    features[:, :, 0] *= 10
    crops = np.clip(rng.normal(size=(n, 2, 16, 16)) / 4, -1, 1).astype(np.float32)
    patients = tuple(str(k // 5) for k in range(n))
    return DiscTable(features, np.ones((n, 2), bool), answers, np.arange(n) % 5, patients, crops=crops)


def quick() -> DiscTraining:
    net = DiscNetFit(VIEW)
    small = replace(net, net=replace(net.net, widths=(16,)), fit=replace(net.fit, epochs=1, workers=0))
    return DiscTraining((VIEW,), (1, 1), heads=HeadFit((100.0,), inner_folds=2), net=small, folds=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "bundle"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(subject, "read_disc_table", lambda *_, **__: made_up())
        found = train_discs(Path("data"), out, quick(), base=default_bundle())
    assert found["narrowing"].earned
    return out


def test_the_bundle_loads_and_keeps_what_the_base_has(trained: Path) -> None:
    made, base = load_bundle(trained), default_bundle()
    assert made.table.locator == base.table.locator
    assert made.table.grader == base.table.grader
    assert made.evidence == base.evidence
    assert made.table.discs is not None
    assert made.table.discs.questions[0] == "narrowing"
    assert made.table.discs.scores[0].discs == 200
    assert len(made.disc_heads.by_set) == 3
    assert made.disc_heads.net is not None
    assert made.table.discs.net is not None
    assert made.table.discs.net.onnx in made.table.weight_files
    assert not (trained / subject.FITS).exists()


def test_its_card_has_one_section_with_scores_source_and_limits(trained: Path) -> None:
    card = load_bundle(trained).card
    assert card.count(HEADLINE) == 1
    section = card.partition(HEADLINE)[2]
    for said in (
        "CC BY 4.0",
        "Out of fold by patient",
        "level alone",
        "one radiologist",
        "| narrowing | AUC |",
    ):
        assert said in section
    record = json.loads((trained / subject.RECORD).read_text(encoding="utf-8"))
    assert record["settings"]["folds"] == 2
    assert record["scores"]["narrowing"]["discs"] == 200


def test_a_training_that_was_killed_does_not_go_on_with_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subject, "read_disc_table", lambda *_, **__: made_up())
    monkeypatch.setattr(subject, "_out_of_fold", killed)
    asked = {"data": Path("data"), "out": tmp_path / "bundle", "base": default_bundle()}
    for _ in range(2):  # the same goes on
        with pytest.raises(KeyboardInterrupt):
            train_discs(settings=quick(), **asked)
    with pytest.raises(ConfigError, match="must be of the same settings, got another seed"):
        train_discs(settings=replace(quick(), seed=3), **asked)


def test_a_bundle_is_not_written_into_its_base() -> None:
    base = default_bundle()
    with pytest.raises(ConfigError, match="another folder than the base"):
        train_discs(Path("data"), base.folder, DiscTraining(), base=base)
