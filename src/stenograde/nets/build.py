"""Networks by name, built from a table of settings and from what the data determines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stenograde.config import build
from stenograde.errors import ConfigError
from stenograde.nets.five_block_cnn import FiveBlockCnn, FiveBlockConfig
from stenograde.nets.middle_maps_classifier import MiddleMapsClassifier, MiddleMapsConfig
from stenograde.nets.multi_attention_cnn import MultiAttentionCnn, MultiAttentionConfig
from stenograde.nets.slice_classifier import SliceClassifier, SliceClassifierConfig
from stenograde.nets.stn_resnet import StnResnet, StnResnetConfig

NetConfig = (
    FiveBlockConfig | MultiAttentionConfig | StnResnetConfig | SliceClassifierConfig | MiddleMapsConfig
)
"""Shape of a picture classifier."""

PictureNet = FiveBlockCnn | MultiAttentionCnn | StnResnet | SliceClassifier | MiddleMapsClassifier
"""A picture classifier: ``forward(images, extra)`` gives logits; has ``head``, ``cam_layer`` and ``config``."""

FROM_DATA = ("classes", "channels", "size_px", "extra")
"""Settings determined by the data, which no table may set."""


@dataclass(frozen=True)
class NetKind:
    """A kind of network and the dataclass of its settings."""

    config: type[Any]
    net: Callable[[Any], PictureNet]


NETS: dict[str, NetKind] = {
    "five_block_cnn": NetKind(FiveBlockConfig, FiveBlockCnn),
    "multi_attention_cnn": NetKind(MultiAttentionConfig, MultiAttentionCnn),
    "stn_resnet": NetKind(StnResnetConfig, StnResnet),
    "slice_classifier": NetKind(SliceClassifierConfig, SliceClassifier),
    "middle_maps": NetKind(MiddleMapsConfig, MiddleMapsClassifier),
}
"""Every picture classifier by its name in recipes and bundles."""


def net_config(
    name: str,
    table: Mapping[str, Any],
    *,
    classes: int,
    channels: int,
    size_px: tuple[int, int],
    extra: int = 0,
) -> NetConfig:
    """Return the settings of a network, checked.

    Parameters
    ----------
    name : str
        A key of :data:`NETS`.
    table : Mapping
        Settings of the network, as in the ``[net]`` table of a recipe.
    classes, channels, extra : int
        Number of logits; channels of a picture; further inputs for each picture.
    size_px : tuple of int
        Rows and columns of a picture.

    Raises
    ------
    ConfigError
        If the name or a setting is unknown, wrong, or one that the data determines.
    """
    if name not in NETS:
        msg = f"net must be one of {', '.join(NETS)}, got {name!r}"
        raise ConfigError(msg)
    taken = [setting for setting in FROM_DATA if setting in table]
    if taken:
        msg = f"net.{taken[0]} must be left out, as the data decides it, got {table[taken[0]]!r}"
        raise ConfigError(msg)
    decided = {"classes": classes, "channels": channels, "size_px": size_px, "extra": extra}
    return build(NETS[name].config, {**table, **decided}, where=f"net.{name}")


def build_net(
    name: str,
    table: Mapping[str, Any],
    *,
    classes: int,
    channels: int,
    size_px: tuple[int, int],
    extra: int = 0,
) -> PictureNet:
    """Return a network with random weights; the arguments are those of :func:`net_config`.

    Raises
    ------
    ConfigError
        If the settings are wrong, or name an encoder that its library does not have.
    MissingDependencyError
        If a required library is not installed.

    Examples
    --------
    >>> net = build_net(
    ...     "slice_classifier", {"encoder": "resnet_tiny", "source": "own"}, classes=3, channels=1, size_px=(64, 64)
    ... )
    >>> net.config.classes
    3
    """
    config = net_config(name, table, classes=classes, channels=channels, size_px=size_px, extra=extra)
    try:
        return NETS[name].net(config)
    except ValueError as exc:
        msg = f"net.{name}: {exc}"
        raise ConfigError(msg) from exc
