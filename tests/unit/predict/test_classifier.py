"""A classifier bundle says what its graph says, and refuses what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.classifier_bundles import SIZE, expected, write_classifier

from stenograde.errors import BundleError, ConfigError
from stenograde.images.align import AlignConfig, Template, write_template
from stenograde.predict.classifier import load_classifier
from stenograde.terms import Level

pytest.importorskip("onnx", reason="needs the extra 'train'")


@pytest.fixture
def prepared() -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(0, 255, (4, *SIZE)).astype(np.uint8)


def test_classify_gives_the_probabilities_of_its_graph(tmp_path: Path, prepared: np.ndarray) -> None:
    classifier = load_classifier(write_classifier(tmp_path / "b"))
    places = np.array([0, 1, 1, 0])
    levels = [(Level.L3_L4, Level.L4_L5)[place] for place in places]
    wanted = expected(prepared.mean(axis=(1, 2)) / 255, places)
    np.testing.assert_allclose(classifier.classify(prepared, levels), wanted, atol=1e-5)


def test_classify_when_graphs_are_several_then_probabilities_are_averaged_not_logits(
    tmp_path: Path, prepared: np.ndarray
) -> None:
    folder = write_classifier(tmp_path / "b")
    one = load_classifier(folder)
    two = load_classifier(write_classifier(tmp_path / "b", graphs=one.table.graphs * 2, mirrored=True))
    levels = [Level.L4_L5] * 4
    # the mean brightness is the same mirrored, and twice the same graph says the same
    np.testing.assert_allclose(two.classify(prepared, levels), one.classify(prepared, levels), atol=1e-6)


def test_prepare_when_a_level_must_be_known_then_none_is_refused(tmp_path: Path) -> None:
    classifier = load_classifier(write_classifier(tmp_path / "b"))
    picture = np.eye(20, dtype=np.float32)
    assert classifier.prepare(picture, Level.L3_L4).shape == SIZE
    for level in (None, Level.L5_S1):
        with pytest.raises(ValueError, match="level must be one of L3/L4, L4/L5"):
            classifier.prepare(picture, level)


def test_prepare_when_there_is_a_template_then_the_anatomy_is_cut_out(tmp_path: Path) -> None:
    from stenograde.train.weights.bundle_toml import weight_file

    folder = tmp_path / "b"
    folder.mkdir()
    blob = np.zeros((24, 24), np.float32)
    blob[8:16, 8:16] = 1
    pictures = np.stack([blob, blob]) - blob.mean()
    (folder / "template.npz").write_bytes(write_template(Template(pictures, (0.5, 0.5))))
    write_classifier(
        folder,
        template=weight_file(folder / "template.npz"),
        align=AlignConfig(share=0.25, template_share=0.25),
    )
    picture = np.random.default_rng(0).normal(0, 0.02, (96, 96)).astype(np.float32)
    picture[58:66, 40:48] += 1  # 14 px below the middle, 4 px to its left
    seen = load_classifier(folder).prepare(picture, Level.L4_L5)
    centre = np.argwhere(seen > 128).mean(axis=0)
    np.testing.assert_allclose(centre, (np.array(SIZE) - 1) / 2, atol=1.0)


@pytest.mark.parametrize(("name", "level"), [("T1_0001_D4", Level.L4_L5), ("T1_0001_D5", None), ("x", None)])
def test_level_is_told_by_the_file_name(tmp_path: Path, name: str, level: Level | None) -> None:
    assert load_classifier(write_classifier(tmp_path / "b")).table.level_of(name) is level


def test_load_when_a_file_was_altered_then_it_is_named(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "b")
    (folder / "net.onnx").write_bytes(b"else")
    with pytest.raises(BundleError, match=r"net\.onnx must have SHA-256"):
        load_classifier(folder)


def test_load_when_there_is_none_then_those_that_ship_are_named() -> None:
    with pytest.raises(BundleError, match=r"a classifier must be a folder with bundle\.toml or one of"):
        load_classifier("no-such-bundle")


def test_load_when_the_bundle_grades_studies_then_it_is_refused() -> None:
    with pytest.raises(BundleError, match="must be that of a classifier"):
        load_classifier("lumbar-mri-25")


def test_load_when_the_table_is_wrong_then_the_setting_is_named(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "b")
    text = (folder / "bundle.toml").read_text()
    (folder / "bundle.toml").write_text(text.replace("mirrored = false", "mirored = false"))
    with pytest.raises(ConfigError, match="mirored"):
        load_classifier(folder)


@pytest.mark.parametrize("pattern", ["(", "D[345]", "(D)([345])"])
def test_level_pattern_must_be_an_expression_with_one_group(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match="level_pattern must"):
        write_classifier(tmp_path / "b", level_pattern=pattern)


def test_classify_when_the_graph_needs_no_level_but_the_table_does_then_it_is_refused(
    tmp_path: Path, prepared: np.ndarray
) -> None:
    classifier = load_classifier(write_classifier(tmp_path / "b", levels=()))
    with pytest.raises(BundleError, match=r"net\.onnx must take images and give 3 logits, got extra, images"):
        classifier.classify(prepared)
