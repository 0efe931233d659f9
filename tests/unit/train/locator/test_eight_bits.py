"""The shipped locator in 8 bits: as good as in 32 on slices it was not scaled by; refused where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from stenograde.datasets.spider import SpiderSlices
from stenograde.errors import BundleError, ConfigError
from stenograde.predict.bundle import default_bundle, load_bundle
from stenograde.train.locator import eight_bits
from stenograde.train.locator.eight_bits import EIGHT_BITS, Comparison, quantize_locator
from stenograde.train.locator.phantom_slices import PhantomSlicesConfig, make_phantom_slices
from stenograde.train.weights.export import export_locator, load_locator

pytestmark = pytest.mark.filterwarnings(
    "default::DeprecationWarning"
)  # the exporter without dynamo warns of its age

GOOD = Comparison(9, (0.9, 0.9, 0.9), (0.9, 0.899, 0.9), (0.99, 0.99, 0.99), 40, 0, 0.2)


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    config = PhantomSlicesConfig(patients=3, slices=4, layers=1)
    return SpiderSlices(tuple(make_phantom_slices(tmp_path_factory.mktemp("virtual"), config)), (), ())


@pytest.fixture(scope="module")
def quantized(slices, tmp_path_factory):
    out = tmp_path_factory.mktemp("quantized")
    return quantize_locator(slices, out, base=default_bundle(), step=2), load_bundle(out)


def test_masks_and_discs_are_those_of_32_bits(quantized):
    found, bundle = quantized

    assert found.slices == 12
    assert min(found.alike) > 0.97
    assert found.discs > 10
    assert found.discs_lost <= 1
    assert EIGHT_BITS in bundle.card
    kinds = {node.op_type for node in onnx.load(bundle.folder / "locator.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds


def test_the_graph_is_a_quarter_as_large_and_says_nearly_the_same(quantized, tmp_path):
    _, bundle = quantized
    entry = bundle.table.locator
    net = load_locator(entry, bundle.folder)
    exact = tmp_path / export_locator(net, eight_bits.config_of(entry), tmp_path).onnx.file
    given = (
        np.random.default_rng(0).normal(size=(1, 1, 5 * entry.stride, 4 * entry.stride)).astype(np.float32)
    )

    theirs, ours = eight_bits.run_of(exact)(given), bundle.locate(given)

    assert (bundle.folder / entry.onnx.file).stat().st_size < exact.stat().st_size / 3
    assert np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.99
    assert not np.array_equal(theirs, ours)


@pytest.mark.parametrize("worse", [{"dice_after": (0.9, 0.9, 0.89)}, {"apart_mm": 1.5}])
def test_what_loses_too_much_is_refused(worse):
    GOOD.check()
    with pytest.raises(BundleError, match="keep the bundle in 32 bits"):
        replace(GOOD, **worse).check()


def test_a_bundle_is_not_written_over_itself(slices):
    base = default_bundle()
    with pytest.raises(ConfigError, match="another folder than the base"):
        quantize_locator(slices, base.folder, base=base)
