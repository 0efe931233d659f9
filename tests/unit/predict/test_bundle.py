"""A bundle is refused, with what is wrong and what would be right, unless all its pieces fit together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from stenograde.errors import BundleError, ConfigError
from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.levels.canal_model import CanalModel
from stenograde.predict.bundle import N_MAPS, Bundle, default_bundle, load_bundle
from stenograde.terms import LUMBAR_MRI, Condition

TABLE = """name = "small"
version = "1.2.3"
scheme = "{scheme}"
{more}
[locator]
widths = [4, 8]
grid_mm = {grid_mm}
stride = {stride}

[locator.onnx]
file = "{onnx}"
sha256 = "{onnx_hash}"

[locator.weights]
file = "locator.safetensors"
sha256 = "{weights_hash}"
"""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_bundle(
    folder: Path, network: bytes = b"network", weights: bytes = b"weights", **settings: object
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "locator.onnx").write_bytes(network)
    (folder / "locator.safetensors").write_bytes(weights)
    (folder / "card.md").write_text("# small\n", encoding="utf-8")
    values = {
        "scheme": "lumbar_mri",
        "more": "",
        "grid_mm": 0.6,
        "stride": 32,
        "onnx": "locator.onnx",
        "onnx_hash": digest(network),
        "weights_hash": digest(weights),
    }
    (folder / "bundle.toml").write_text(TABLE.format(**(values | settings)), encoding="utf-8")
    return folder


def graph(n_maps: int, name: str = "slices") -> bytes:
    """A network that gives its input back as so many maps."""
    onnx = pytest.importorskip("onnx", reason="making a network needs onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    taken = helper.make_tensor_value_info(name, kind, ["batch", 1, "rows", "columns"])
    given = helper.make_tensor_value_info("logits", kind, ["batch", n_maps, "rows", "columns"])
    node = helper.make_node("Concat", [name] * n_maps, ["logits"], axis=1)
    model = helper.make_model(
        helper.make_graph([node], "copies", [taken], [given]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return model.SerializeToString()


def test_a_whole_bundle_is_loaded_and_stamped(tmp_path):
    bundle = load_bundle(write_bundle(tmp_path / "bundle"))

    assert (bundle.stamp.name, bundle.stamp.version) == ("small", "1.2.3")
    assert bundle.stamp.hash == digest((tmp_path / "bundle" / "bundle.toml").read_bytes())
    assert bundle.scheme is LUMBAR_MRI
    assert bundle.table.canal == CanalModel()
    assert bundle.card == "# small\n"


def test_settings_of_the_canal_model_travel_with_the_bundle(tmp_path):
    more = "\n[canal]\nsteepness = 9\n\n[canal.ratio]\nmoderate = 0.8\nsevere = 0.5\n"
    bundle = load_bundle(write_bundle(tmp_path, more=more))

    assert bundle.table.canal.steepness == 9.0
    assert bundle.table.canal.ratio.narrowing(0.65) == pytest.approx(0.5)


def test_a_folder_without_a_table_is_no_bundle(tmp_path):
    with pytest.raises(
        BundleError, match=r"a bundle must be a folder with bundle.toml, got .*; make one with"
    ):
        load_bundle(tmp_path)
    with pytest.raises(BundleError, match="a bundle must be a folder"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["locator.onnx", "locator.safetensors"])
def test_a_missing_file_is_named(tmp_path, name):
    folder = write_bundle(tmp_path / "small")
    (folder / name).unlink()

    with pytest.raises(BundleError, match=f"bundle file '{name}' must lie in small, got nothing there"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["locator.onnx", "locator.safetensors"])
def test_an_altered_file_is_named_with_both_hashes(tmp_path, name):
    folder = write_bundle(tmp_path)
    (folder / name).write_bytes(b"tampered")

    with pytest.raises(
        BundleError, match=f"{name} must have SHA-256 .{{12}}…, got {digest(b'tampered')[:12]}…"
    ):
        load_bundle(folder)


@pytest.mark.parametrize(
    "outside", ["../locator.onnx", "sub/locator.onnx", "..", "/etc/hostname", "./locator.onnx"]
)
def test_a_file_outside_the_folder_is_refused_even_where_it_exists(tmp_path, outside):
    (tmp_path / "locator.onnx").write_bytes(b"network")
    folder = write_bundle(tmp_path / "small", onnx=outside)
    (folder / "sub").mkdir()
    (folder / "sub" / "locator.onnx").write_bytes(b"network")

    with pytest.raises(BundleError, match="must lie in small"):
        load_bundle(folder)


def test_an_unknown_scheme_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(BundleError, match=r"scheme must be one of lumbar_mri, cervical_xray, got 'thoracic'"):
        load_bundle(write_bundle(tmp_path, scheme="thoracic"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"more": "colour = 1"},
            r"bundle.toml has no setting 'colour'; it has: name, version, scheme, locator, canal",
        ),
        ({"more": "[canal]\nsteepnes = 3"}, r"bundle.toml.canal has no setting 'steepnes'"),
        ({"grid_mm": '"wide"'}, r"bundle.toml.locator.grid_mm must be a number, got 'wide'"),
        ({"grid_mm": 0}, r"a locator needs grid_mm of 0.3 to 3 and stride of 1 to 256, got 0, 32"),
        ({"grid_mm": 0.001}, r"a locator needs grid_mm of 0.3 to 3 and stride of 1 to 256, got 0.001, 32"),
        ({"grid_mm": "nan"}, r"a locator needs grid_mm of 0.3 to 3 and stride of 1 to 256, got nan, 32"),
        ({"stride": -8}, r"a locator needs grid_mm of 0.3 to 3 and stride of 1 to 256, got 0.6, -8"),
        (
            {"stride": 10**12},
            r"a locator needs grid_mm of 0.3 to 3 and stride of 1 to 256, got 0.6, 1000000000000",
        ),
        ({"more": "[canal.ratio]\nmoderate = 0.3\nsevere = 0.6"}, r"a scale needs moderate > severe"),
        ({"more": "["}, r"configuration must be a readable TOML file"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        load_bundle(write_bundle(tmp_path, **settings))


def test_the_network_of_a_bundle_is_run(tmp_path):
    bundle = load_bundle(write_bundle(tmp_path, network=graph(N_MAPS)))
    slices = np.random.default_rng(0).normal(size=(2, 1, 32, 64)).astype(np.float32)

    np.testing.assert_array_equal(bundle.locate(slices), np.repeat(slices, N_MAPS, axis=1))


@pytest.mark.parametrize("said", [np.nan, np.inf, -np.inf])
def test_a_network_that_says_no_number_is_refused(tmp_path, said):
    bundle = load_bundle(write_bundle(tmp_path, network=graph(N_MAPS)))
    slices = np.zeros((1, 1, 32, 32), np.float32)
    slices[0, 0, 3, 4] = said

    with pytest.raises(BundleError, match=r"locator.onnx must give finite numbers, got others; copy"):
        bundle.locate(slices)


def test_a_network_of_other_maps_is_refused(tmp_path):
    bundle = load_bundle(write_bundle(tmp_path, network=graph(4)))

    with pytest.raises(
        BundleError, match=r"locator.onnx must take 'slices' and give 6 maps, got .* 4 maps; use"
    ):
        bundle.locate(np.zeros((1, 1, 32, 32), np.float32))


def test_a_network_of_another_input_is_refused(tmp_path):
    bundle = load_bundle(write_bundle(tmp_path, network=graph(N_MAPS, "pictures")))

    with pytest.raises(BundleError, match=r"must take 'slices' .* got input pictures"):
        bundle.locate(np.zeros((1, 1, 32, 32), np.float32))


def test_what_is_no_network_is_refused(tmp_path):
    bundle = load_bundle(write_bundle(tmp_path, network=b"not a graph"))

    with pytest.raises(
        BundleError, match=r"locator.onnx must be an ONNX graph that ONNX Runtime .* can run, got"
    ):
        bundle.locate(np.zeros((1, 1, 32, 32), np.float32))


def test_the_shipped_bundle_is_whole():
    bundle = default_bundle()

    assert isinstance(bundle, Bundle)
    assert bundle.stamp.name == "lumbar-mri-25"
    assert bundle.table.canal.scales == CanalModel().scales, "the card states the model's defaults"
    assert "not a medical device" in bundle.card
    assert "SPIDER" in bundle.card
    assert all(scale.source for scale in bundle.table.canal.scales.values())


EVIDENCE = """[evidence.{condition}]
kind = "{kind}"
patients = 12
cells = 120
score = 0.5
level_share = 0.8
command = "stenograde score COHORT"
"""


def test_evidence_is_read_by_condition(tmp_path):
    condition = Condition.NEURAL_FORAMINAL_NARROWING
    more = EVIDENCE.format(condition=condition.value, kind="phantoms only")
    bundle = load_bundle(write_bundle(tmp_path, more=more))
    assert bundle.evidence == {
        condition: ConditionEvidence(RestsOn.PHANTOMS_ONLY, 12, 120, 0.5, 0.8, "stenograde score COHORT")
    }
    assert not bundle.evidence[condition].is_draft


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (EVIDENCE.format(condition="scoliosis", kind="learnt"), "evidence must be of .*, got 'scoliosis'"),
        (EVIDENCE.format(condition="subarticular_stenosis", kind="measured"), "only the canal is measured"),
        (EVIDENCE.format(condition="subarticular_stenosis", kind="believed"), "kind must be one of"),
        ('[evidence.subarticular_stenosis]\nkind = "learnt"\nscore = 0.1\n', "evidence must have score"),
    ],
)
def test_evidence_that_cannot_be_is_refused(tmp_path, more, match):
    with pytest.raises(ConfigError, match=match):
        load_bundle(write_bundle(tmp_path, more=more))


def test_the_shipped_bundle_grades_the_canal_and_drafts_the_rest():
    evidence = default_bundle().evidence
    assert {condition: known.is_draft for condition, known in evidence.items()} == {
        Condition.SPINAL_CANAL_STENOSIS: False,
        Condition.NEURAL_FORAMINAL_NARROWING: True,
        Condition.SUBARTICULAR_STENOSIS: True,
    }
    assert all(known.patients and known.command for known in evidence.values())
