"""torchvision can be imported whether or not its compiled operators fit the torch that is installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.nets.torchvision_ops import provide_torchvision_ops  # noqa: E402


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    provide_torchvision_ops.cache_clear()
    yield
    provide_torchvision_ops.cache_clear()


def test_torchvision_imports_after_the_call() -> None:
    found = provide_torchvision_ops()
    if found == "absent":
        pytest.skip("torchvision is not installed")
    assert importlib.import_module("torchvision.ops.misc").Conv2dNormActivation is not None
    boxes, scores = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0])
    if found == "native":
        assert torch.ops.torchvision.nms(boxes, scores, 0.5).tolist() == [0]
    else:
        with pytest.raises(NotImplementedError, match="torchvision::nms"):
            torch.ops.torchvision.nms(boxes, scores, 0.5)


def test_a_second_call_is_harmless() -> None:
    first = provide_torchvision_ops()
    provide_torchvision_ops.cache_clear()
    assert provide_torchvision_ops() == first


def test_absent_torchvision_is_said_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert provide_torchvision_ops() == "absent"
