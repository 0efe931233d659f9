"""Right and wrong cases of a test as pictures on disk, with where the network looked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stenograde.datasets.picture_files import png_bytes
from stenograde.evaluate.predictions import Predictions
from stenograde.experiments.pictures.explain import grad_cam, heated, telling_cases
from stenograde.experiments.pictures.recipe import Recipe
from stenograde.experiments.pictures.result import Case
from stenograde.experiments.pictures.training import Material
from stenograde.files import write_whole
from stenograde.images.pictures import InputConfig
from stenograde.nets.stn_resnet import StnResnet
from stenograde.train.pictures.batches import as_input


def draw_cases(
    recipe: Recipe,
    material: Material,
    net: nn.Module,
    test: tuple[int, ...],
    predictions: Predictions,
    *,
    folder: Path,
) -> tuple[Case, ...]:
    """Write the surest right and wrong cases of a test, whose samples lie at ``test``, as PNG files into a folder.

    Right ones come first; their files are named relative to the folder.
    """
    device = next(net.parameters()).device
    made = []
    for number, row in enumerate(telling_cases(predictions), start=1):
        place = test[row]
        picture = material.pictures[place]
        image = as_input(picture[None], recipe.batches.input).to(device).contiguous()
        rows = material.level_rows((place,))
        extra = None if rows is None else torch.from_numpy(rows).to(device)
        said = int(predictions.predicted[row])
        seen = _straightened(net, image, recipe.batches.input)
        heat = grad_cam(net, image, said, extra=extra)
        files = {"picture": picture, "heat": heated(picture if seen is None else seen, heat)}
        if seen is not None:
            files["straightened"] = seen
        names = {what: f"case-{number}-{what}.png" for what in files}
        for what, content in files.items():
            write_whole(folder / names[what], png_bytes(content))
        made.append(
            Case(
                name=predictions.names[row],
                truth=predictions.classes[predictions.labels[row]],
                said=predictions.classes[said],
                probability=float(predictions.probabilities[row, said]),
                picture=names["picture"],
                heat=names["heat"],
                straightened=names.get("straightened"),
            )
        )
    return tuple(made)


def _straightened(net: nn.Module, image: Tensor, config: InputConfig) -> NDArray[np.uint8] | None:
    """Return what a spatial transformer passes on, (rows, columns); None where the network has none."""
    if not isinstance(net, StnResnet) or not net.config.transformer:
        return None
    with torch.inference_mode():
        seen = net.transformed(image)[0, 0].float().cpu().numpy()
    return np.rint(255 * np.clip(seen * config.std[0] + config.mean[0], 0, 1)).astype(np.uint8)
