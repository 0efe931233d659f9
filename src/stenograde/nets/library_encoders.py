"""Encoders of timm and MONAI by name, without classifiers, from picture to feature vector, with their maps."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stenograde.errors import MissingDependencyError, installing
from stenograde.nets.torchvision_ops import provide_torchvision_ops


class TimmEncoder(nn.Module):
    """An encoder of timm, randomly initialised.

    Parameters
    ----------
    name : str
        Name from ``timm.list_models()``, with or without the tag of a set of weights.
    channels : int
    size_px : tuple of int
        Rows and columns of a picture.

    Raises
    ------
    ValueError
        If timm has no such model.
    MissingDependencyError
        If timm is not installed.
    """

    weights_prefix = "net."

    def __init__(self, name: str, *, channels: int, size_px: tuple[int, int]) -> None:
        super().__init__()
        timm = _timm()
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=3)
            msg = f"encoder must be a model of timm, got {name!r}; near it: {', '.join(near) or 'none'}"
            raise ValueError(msg)
        published = timm.get_pretrained_cfg(name)
        sized = {"img_size": size_px} if published is not None and published.fixed_input_size else {}
        self.net = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=0, **sized)
        self.hub_id: str | None = None if published is None else published.hf_hub_id
        self.shown = None if published is None else (tuple(published.mean), tuple(published.std))
        """Mean and standard deviation that its published weights were shown pictures with; None if there are none."""
        self.name = name
        picture = torch.zeros(1, channels, *size_px)
        features = _outside_training(self.net, lambda: self.net.forward_features(picture))
        self.maps = FeatureMaps(
            _layout_of(features, self.net.num_features), tuple(features.shape[1:]), size_px
        )
        self.width = int(_outside_training(self, lambda: self(picture)).shape[1])

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose output is the last maps."""
        return self.maps

    def forward(self, images: Tensor) -> Tensor:
        """Return features of shape (n, width) for images of shape (n, channels, rows, columns)."""
        maps = self.maps(self.net.forward_features(images))
        if self.maps.layout == "tokens":
            return maps.mean(dim=(2, 3))
        return self.net.forward_head(self.maps.as_given(maps), pre_logits=True)


class FeatureMaps(nn.Module):
    """Conversion of a library's features, in any layout, to (n, width, rows, columns).

    Parameters
    ----------
    layout : {"channels_first", "channels_last", "tokens"}
        Tokens are one vector per patch, row by row, after others (such as a class token) that are dropped.
    shape : tuple of int
        Shape of the features of one picture.
    size_px : tuple of int
        Rows and columns of a picture; the grid of tokens has the same proportions.
    """

    def __init__(
        self,
        layout: Literal["channels_first", "channels_last", "tokens"],
        shape: tuple[int, ...],
        size_px: tuple[int, int],
    ) -> None:
        super().__init__()
        self.layout = layout
        self.grid = _token_grid(shape[0], size_px) if layout == "tokens" else (0, 0)

    def forward(self, features: Tensor) -> Tensor:
        """Return maps, shape (n, width, rows, columns)."""
        if self.layout == "channels_first":
            return features
        if self.layout == "channels_last":
            return features.permute(0, 3, 1, 2)
        patches = features[:, -self.grid[0] * self.grid[1] :]
        return patches.transpose(1, 2).unflatten(2, self.grid)

    def as_given(self, maps: Tensor) -> Tensor:
        """Return maps in the library's own layout, which does not exist for maps made of tokens."""
        return maps.permute(0, 2, 3, 1) if self.layout == "channels_last" else maps


class MonaiEncoder(nn.Module):
    """A two-dimensional encoder of MONAI, randomly initialised.

    Parameters
    ----------
    name : str
        A key of :data:`MONAI_ENCODERS`.
    channels : int

    Raises
    ------
    ValueError
        If the name is not one of these.
    MissingDependencyError
        If MONAI is not installed.
    """

    def __init__(self, name: str, *, channels: int) -> None:
        super().__init__()
        if name not in MONAI_ENCODERS:
            msg = f"encoder must be one of MONAI's {', '.join(MONAI_ENCODERS)}, got {name!r}"
            raise ValueError(msg)
        self.net, self._cam_name = MONAI_ENCODERS[name](name, channels)
        # keys and shapes of MONAI's two-dimensional ResNet50 are timm's, so timm's weights fit it
        self.hub_id = "timm/resnet50.a1_in1k" if name == "resnet50" else None
        self.width = int(_outside_training(self, lambda: self(torch.zeros(1, channels, 64, 64))).shape[1])

    @property
    def cam_layer(self) -> nn.Module:
        """Layer whose output is the last maps."""
        return self.net.get_submodule(self._cam_name)

    def forward(self, images: Tensor) -> Tensor:
        """Return features of shape (n, width) for images of shape (n, channels, rows, columns)."""
        return self.net(images)


def _monai_resnet(name: str, channels: int) -> tuple[nn.Module, str]:
    """Return a ResNet with the stem and shortcuts of torchvision, hence with its names and shapes of weights."""
    net = getattr(monai_nets(), name)(
        spatial_dims=2,
        n_input_channels=channels,
        conv1_t_size=7,
        conv1_t_stride=2,
        bias_downsample=False,
        feed_forward=False,
    )
    return net, "layer4"


def _monai_densenet(name: str, channels: int) -> tuple[nn.Module, str]:
    net = getattr(monai_nets(), name)(spatial_dims=2, in_channels=channels, out_channels=1)
    net.class_layers.out = nn.Identity()
    return net, "features"


def _monai_seresnet(name: str, channels: int) -> tuple[nn.Module, str]:
    net = getattr(monai_nets(), name)(spatial_dims=2, in_channels=channels, num_classes=1)
    net.last_linear = nn.Identity()
    return net, "layer4"


def _monai_efficientnet(name: str, channels: int) -> tuple[nn.Module, str]:
    net = monai_nets().EfficientNetBN(
        name, pretrained=False, spatial_dims=2, in_channels=channels, num_classes=1
    )
    net._fc = nn.Identity()
    return net, "_bn1"


MONAI_ENCODERS: dict[str, Callable[[str, int], tuple[nn.Module, str]]] = {
    "resnet10": _monai_resnet,
    "resnet18": _monai_resnet,
    "resnet34": _monai_resnet,
    "resnet50": _monai_resnet,
    "resnet101": _monai_resnet,
    "resnet152": _monai_resnet,
    "densenet121": _monai_densenet,
    "densenet169": _monai_densenet,
    "densenet201": _monai_densenet,
    "seresnet50": _monai_seresnet,
    "seresnet101": _monai_seresnet,
    "efficientnet-b0": _monai_efficientnet,
    "efficientnet-b1": _monai_efficientnet,
    "efficientnet-b2": _monai_efficientnet,
    "efficientnet-b3": _monai_efficientnet,
}
"""Builder of each encoder: from name and channels to the net without classifier and the name of its last layer."""


def _timm() -> ModuleType:
    provide_torchvision_ops()
    try:
        import timm  # noqa: PLC0415  slow, and needed by few
        import timm.models  # noqa: PLC0415
    except ImportError as exc:
        msg = f"an encoder of timm needs timm and torchvision; install them with: {installing('train')}"
        raise MissingDependencyError(msg) from exc
    return timm


def monai_nets() -> ModuleType:
    """Return MONAI's networks.

    Raises
    ------
    MissingDependencyError
        If MONAI is not installed.
    """
    provide_torchvision_ops()
    try:
        from monai.networks import nets  # noqa: PLC0415  slow, and needed by few
    except ImportError as exc:
        msg = f"an encoder of MONAI needs monai; install it with: {installing('train')}"
        raise MissingDependencyError(msg) from exc
    return nets


def _outside_training(net: nn.Module, forward: Callable[[], Any]) -> Any:
    """Return the result of ``forward`` without any effect on the net: no gradient, no running statistics."""
    training = net.training
    net.eval()
    with torch.no_grad():
        result = forward()
    net.train(training)
    return result


def _layout_of(features: Tensor, width: int) -> Literal["channels_first", "channels_last", "tokens"]:
    if features.ndim == 3:
        return "tokens"
    return "channels_first" if features.shape[1] == width else "channels_last"


def _token_grid(tokens: int, size_px: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of patches: the largest grid with the picture's proportions that the tokens fill."""
    rows, columns = size_px
    return max(
        (
            (row, column)
            for row in range(1, tokens + 1)
            for column in [max(1, round(row * columns / rows))]
            if row * column <= tokens
        ),
        key=lambda grid: grid[0] * grid[1],
    )
