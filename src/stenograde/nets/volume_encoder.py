"""Encoders from the slices of a stack to vectors: slice by slice, or with neighbouring slices in 3-D.

The three-dimensional ones are the ResNets of MedicalNet (Chen, Ma and Zheng, "Med3D: transfer learning for 3D medical
image analysis", 2019, arXiv:1904.00625), as built by MONAI: names and shapes of their weights are those of the
published files, so that files such as ``resnet_50_23dataset.pth`` fit.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from stenograde.nets.encoder import SmallResnet
from stenograde.nets.library_encoders import MonaiEncoder, TimmEncoder, monai_nets
from stenograde.nets.slice_classifier import OWN_ENCODERS

MEDICALNET: Final = {
    "medicalnet10": ("resnet10", "B"),
    "medicalnet18": ("resnet18", "A"),
    "medicalnet34": ("resnet34", "A"),
    "medicalnet50": ("resnet50", "B"),
    "medicalnet101": ("resnet101", "B"),
    "medicalnet152": ("resnet152", "B"),
}
"""Name, MONAI's builder, and the kind of shortcut that the published weights were trained with."""

IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's channels (torchvision's convention), for encoders with three channels of
which timm knows no others."""

GREY: Final = ((0.5,), (0.25,))
"""The same for encoders with one channel; our choice."""

_WIDE_ENOUGH = 64
"""Rows and columns of the pictures used to find the width of an encoder."""


class StackEncoder(nn.Module):
    """Encoder of the slices of one stack, in order.

    Parameters
    ----------
    name : str
        A key of :data:`MEDICALNET` or of :data:`stenograde.nets.slice_classifier.OWN_ENCODERS`, or a model of timm
        (``resnet50``). All start at random; :func:`stenograde.nets.weights.load_weights` fills them.

    Raises
    ------
    ValueError
        If there is no such encoder.
    MissingDependencyError
        If its library is not installed.
    """

    weights_prefix = "encoder.net."
    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.channels = 1
        if name in MEDICALNET:
            self.encoder: nn.Module = _MedicalNet(name)
        elif name in OWN_ENCODERS:
            self.encoder = SmallResnet(OWN_ENCODERS[name])
        else:
            self.channels = 3
            # MONAI's version of this net has the names and shapes of timm's, and runs without torchvision
            self.encoder = (
                MonaiEncoder(name, channels=3)
                if name == "resnet50"
                else TimmEncoder(name, channels=3, size_px=(224, 224))
            )
        self.hub_id: str | None = getattr(self.encoder, "hub_id", None)
        if isinstance(self.encoder, _MedicalNet):
            self.hub_file = self.encoder.hub_file
        published = getattr(self.encoder, "shown", None) or IMAGENET
        mean, deviation = GREY if self.channels == 1 else published
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)
        self.eval()
        with torch.inference_mode():
            self.width = int(self(torch.zeros(1, _WIDE_ENOUGH, _WIDE_ENOUGH)).shape[1])

    @property
    def sees_stack(self) -> bool:
        """Whether a slice's vector depends on its neighbours."""
        return self.name in MEDICALNET

    def forward(self, slices: Tensor) -> Tensor:
        """Return vectors (tokens, width) of slices (n, rows, columns), grey values from 0 to 1.

        A token is a slice, or eight neighbouring slices for three-dimensional encoders.
        """
        pictures = (slices[:, None] - self.mean) / self.deviation
        if self.sees_stack:
            return self.encoder(pictures.transpose(0, 1)[None])[0]
        return self.encoder(pictures.contiguous(memory_format=torch.channels_last))


class _MedicalNet(nn.Module):
    """A three-dimensional ResNet whose last maps are averaged over rows and columns.

    MONAI halves the maps five times. The published weights were trained with three halvings followed by dilated
    convolutions (Med3D, section 3.2), and run in the same way here: a vector for every eight slices, not thirty-two.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        builder, shortcut = MEDICALNET[name]
        depth = builder.removeprefix("resnet")
        self.hub_id = f"TencentMedicalNet/MedicalNet-Resnet{depth}"
        self.hub_file = f"resnet_{depth}_23dataset.pth" if depth != "152" else "resnet_152.pth"
        self.net = getattr(monai_nets(), builder)(
            spatial_dims=3,
            n_input_channels=1,
            conv1_t_size=7,
            conv1_t_stride=2,
            shortcut_type=shortcut,
            bias_downsample=shortcut == "A",
            feed_forward=False,
        )
        _widen(self.net.layer3, 2)
        _widen(self.net.layer4, 4)

    def forward(self, stacks: Tensor) -> Tensor:
        """Return vectors (n, tokens, width) of stacks (n, 1, slices, rows, columns)."""
        net = self.net
        maps = net.maxpool(net.act(net.bn1(net.conv1(stacks))))
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            maps = layer(maps)
        return maps.mean(dim=(3, 4)).transpose(1, 2)


def _widen(layer: nn.Module, dilation: int) -> None:
    """Make a stage keep the size of its maps, with the same reach by dilated convolutions."""
    for block in layer.modules():
        if isinstance(block, nn.Conv3d):
            block.stride = (1, 1, 1)
            if block.kernel_size == (3, 3, 3):
                block.dilation = block.padding = (dilation,) * 3
        # the shortcut without weights is one of MONAI's functions
        shortcut = getattr(block, "downsample", None)
        if isinstance(shortcut, partial):
            block.downsample = partial(shortcut.func, **{**shortcut.keywords, "stride": 1})  # type: ignore[assignment]
