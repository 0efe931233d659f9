"""A way to import torchvision with a torch build that its compiled operators do not match.

The torchvision wheel is compiled against the CUDA build of torch. With the CPU build its library cannot be loaded, none
of its operators is registered, and its import fails when it describes two of them (``nms`` and ``qnms``). Declaring
these two, without an implementation, is enough: timm needs the layers and none of the operators.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Literal

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
"""Signature of both operators (torchvision 0.28, ``_meta_registrations.py``)."""


@cache
def provide_torchvision_ops() -> Literal["absent", "native", "declared"]:
    """Make ``import torchvision`` possible; call this before the first import of torchvision or timm.

    Returns
    -------
    found : str
        ``absent``: torchvision is not installed. ``native``: its operators load and everything works.
        ``declared``: they do not load, and ``nms`` and ``qnms`` exist in name only.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return "absent"
    for library in sorted(Path(spec.submodule_search_locations[0]).glob("_C*")):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return "native"
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", _SIGNATURE)
    return "declared"
