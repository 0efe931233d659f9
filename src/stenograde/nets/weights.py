"""Loading of weights from a file or the hub into a network, with a report of what fitted; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import math
import pickle
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stenograde.errors import BundleError, MissingDependencyError, installing
from stenograde.nets.efficientnet_lite import packaged_weights, timm_names
from stenograde.nets.library_encoders import TimmEncoder

NOT_PRETRAINED = "pre-trained: no"
"""Statement in a result about a network whose training started from random weights."""

LEAST_SHARE = 0.9
"""Share of the encoder's tensors that a file must fill. Our choice: a ResNet101 with the file of ResNet50 reaches half;
a net whose position table or first dense layer depends on the size of the picture stays above."""

HUB_TIMEOUT_S = 5.0
"""Time that the hub may take to answer at all; its own client would retry for about a minute."""

_HUB_FILE = "model.safetensors"
"""Name of the weights within a timm repository on the hub; an encoder of another library has ``hub_file``."""

_WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema")
"""Names under which checkpoints store their weights, beside epochs and optimisers."""

_TRAINER_PREFIXES = ("module.", "_orig_mod.", "_forward_module.")
"""Prefixes that DistributedDataParallel, torch.compile and Fabric put before every name."""

_COUNTERS = "num_batches_tracked"
"""Suffix of the counters of batch norms, which do not affect any result and are missing in old files."""


@dataclass(frozen=True)
class WeightReport:
    """Report of the tensors of a network that a file filled; names are the network's, except in ``unexpected``."""

    source: str
    """Name of the file, or of the repository on the hub."""
    sha256: str
    """Digest of the file."""
    matched: tuple[str, ...]
    """Tensors filled as stored."""
    missing: tuple[str, ...]
    """Tensors not filled, which keep their random start. Those of the head are among them if its classes differ."""
    unexpected: tuple[str, ...]
    """Stored tensors without a counterpart in the network."""
    reshaped: tuple[str, ...]
    """Tensors filled after a change of shape: a stem for another number of channels, positions for another size."""
    dropped: tuple[str, ...] = ()
    """Tensors stored in another shape and left out; also in ``missing``."""

    @property
    def pretrained(self) -> str:
        """Statement in a result about the start of the network."""
        filled = len(self.matched) + len(self.reshaped)
        return f"pre-trained: yes, {filled} of {filled + len(self.missing)} tensors from {self.source}"


Start = Path | Literal["hub", "imagenet"]
"""What a network may start from: a file, what the hub has of its encoder, or what a package of the registry has."""


def load_weights(net: nn.Module, source: Start) -> WeightReport:
    """Fill a network with stored weights.

    Names may be those of the network or of its encoder alone, whichever fits more tensors. Weights of a stem for
    three channels are summed for one, which is equivalent to three equal channels; those for one are divided among
    three. A head for other classes is left unchanged. If anything is wrong, nothing is changed.

    Parameters
    ----------
    net : Module
        A classifier of :mod:`stenograde.nets.build`, or an encoder.
    source : Path or {"hub", "imagenet"}
        A safetensors file, or a torch checkpoint that contains tensors only; ``"hub"`` for the weights that timm
        publishes for the encoder; ``"imagenet"`` for those of :mod:`stenograde.nets.efficientnet_lite`.

    Raises
    ------
    BundleError
        If the file is unreadable or contains code, fills less than :data:`LEAST_SHARE` of the encoder's tensors, or
        contains values that are not finite; or if the hub or the registry has no such weights, or the hub cannot be
        reached.
    MissingDependencyError
        If the package that fetches or carries the weights is not installed.
    """
    path, shown = _found(net, source)
    stored = _renamed(timm_names(read_weights(path), net.state_dict()), net)
    own = net.state_dict()
    fitted: dict[str, Tensor] = {}
    reshaped, dropped = [], []
    for name in stored.keys() & own.keys():
        value = stored[name]
        if value.shape != own[name].shape:
            changed = _in_shape(value, own[name].shape, net)
            if changed is None:
                dropped.append(name)
                continue
            reshaped.append(name)
            value = changed
        fitted[name] = value
    _check_fit(fitted, own, net, shown)
    with torch.no_grad():
        for name, value in fitted.items():
            own[name].copy_(value)
    return WeightReport(
        source=shown,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        matched=tuple(sorted(name for name in fitted.keys() - set(reshaped) if not name.endswith(_COUNTERS))),
        missing=tuple(name for name in own if name not in fitted and not name.endswith(_COUNTERS)),
        unexpected=tuple(sorted(stored.keys() - own.keys())),
        reshaped=tuple(sorted(reshaped)),
        dropped=tuple(sorted(dropped)),
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, by name, without running any code in the file.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file, or else a torch checkpoint: tensors by name, possibly in a wrapping table and with a
        prefix from a trainer, both of which are removed.

    Raises
    ------
    BundleError
        If the file is missing or damaged, contains anything but tensors and plain values, or no tensors.
    """
    try:
        table: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError as exc:
        msg = f"weights must be a file, got {path}, which does not exist"
        raise BundleError(msg) from exc
    except pickle.UnpicklingError as exc:
        msg = (
            f"weights must be tensors alone, got {path.name}, which asks to run code or is damaged; "
            "save its tensors as safetensors where it comes from"
        )
        raise BundleError(msg) from exc
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as exc:
        msg = (
            f"weights must be a safetensors file or a torch checkpoint, got {path.name}, which cannot be read"
        )
        raise BundleError(msg) from exc
    while isinstance(table, Mapping) and (
        inner := next((n for n in _WRAPPERS if _holds_table(table, n)), None)
    ):
        table = table[inner]
    tensors = {} if not isinstance(table, Mapping) else table
    tensors = {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        msg = f"weights must hold tensors by name, got {path.name}, which holds none"
        raise BundleError(msg)
    while prefix := next((p for p in _TRAINER_PREFIXES if all(n.startswith(p) for n in tensors)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _holds_table(table: Mapping[Any, Any], name: str) -> bool:
    return isinstance(table.get(name), Mapping)


def _renamed(stored: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """Return the tensors under the network's names, reading theirs as those of the network or of its encoder."""
    own = net.state_dict().keys()
    prefix = str(getattr(net, "weights_prefix", ""))
    of_encoder = {f"{prefix}{name}": value for name, value in stored.items()}
    return of_encoder if len(of_encoder.keys() & own) > len(stored.keys() & own) else stored


def _in_shape(value: Tensor, shape: torch.Size, net: nn.Module) -> Tensor | None:
    """Return a tensor in another shape if that is meaningful; otherwise None."""
    if value.ndim == len(shape) == 4 and value.shape[0] == shape[0] and value.shape[2:] == shape[2:]:
        if (value.shape[1], shape[1]) == (3, 1):
            return value.float().sum(dim=1, keepdim=True)
        if (value.shape[1], shape[1]) == (1, 3):
            return value.float().expand(shape) / 3
    encoder = getattr(net, "encoder", None)
    if value.ndim == len(shape) == 3 and isinstance(encoder, TimmEncoder) and encoder.maps.layout == "tokens":
        return _positions_for(value, shape, encoder.maps.grid)
    return None


def _positions_for(stored: Tensor, shape: torch.Size, grid: tuple[int, int]) -> Tensor | None:
    """Return the position table of a transformer, (1, others + side * side, width), for another grid of patches."""
    others = shape[1] - grid[0] * grid[1]
    side = math.isqrt(max(0, stored.shape[1] - others))
    fits = others >= 0 and side > 0 and others + side * side == stored.shape[1]
    if not fits or (stored.shape[0], stored.shape[2]) != (shape[0], shape[2]):
        return None
    square = stored[:, others:].float().transpose(1, 2).unflatten(2, (side, side))
    resized = nn.functional.interpolate(
        square, size=grid, mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat((stored[:, :others].float(), resized.flatten(2).transpose(1, 2)), dim=1)


def _check_fit(fitted: Mapping[str, Tensor], own: Mapping[str, Tensor], net: nn.Module, shown: str) -> None:
    prefix = str(getattr(net, "weights_prefix", ""))
    wanted = [
        name
        for name in own
        if name.startswith(prefix) and not name.startswith("head.") and not name.endswith(_COUNTERS)
    ]
    lacking = [name for name in wanted if name not in fitted]
    if len(lacking) > (1 - LEAST_SHARE) * len(wanted):
        msg = (
            f"weights must fill {LEAST_SHARE:.0%} of the {len(wanted)} tensors that are to be pre-trained, "
            f"got {len(wanted) - len(lacking)} from {shown} (without: {', '.join(lacking[:3])}); "
            "they are those of another network"
        )
        raise BundleError(msg)
    for name, value in fitted.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            msg = f"weights must be finite, got {name} of {shown}, which is not"
            raise BundleError(msg)


def _found(net: nn.Module, source: Start) -> tuple[Path, str]:
    """Return the file of weights, and what it is called before people."""
    if source == "hub":
        return _from_hub(net), f"{_hub_id(net)} (hub)"
    if source == "imagenet":
        encoder = next((part.name for part in net.modules() if isinstance(part, TimmEncoder)), "")
        path = packaged_weights(encoder)
        return path, f"{path.name} (ImageNet)"
    return source, source.name


def _hub_id(net: nn.Module) -> str | None:
    found = getattr(net, "hub_id", None)
    return None if found is None else str(found)


def _from_hub(net: nn.Module) -> Path:
    """Return the weights for a network's encoder from the hub, or from its cache if they are there."""
    repository = _hub_id(net)
    if repository is None:
        msg = f"weights must be a file for {type(net).__name__}, got 'hub'; its encoder has none published there"
        raise BundleError(msg)
    try:
        import huggingface_hub  # noqa: PLC0415  an optional package
    except ImportError as exc:
        msg = f"weights from the hub need huggingface_hub; install it with: {installing('train')}"
        raise MissingDependencyError(msg) from exc
    stored_as = str(getattr(net, "hub_file", _HUB_FILE))
    kept = huggingface_hub.try_to_load_from_cache(repository, stored_as)
    if isinstance(kept, str):
        return Path(kept)
    cure = f"fetch {stored_as} of {repository} elsewhere and give the file"
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        msg = (
            f"weights of {repository} must be in the hub's cache when HF_HUB_OFFLINE is set, got none; {cure}"
        )
        raise BundleError(msg)
    if not _answers(huggingface_hub.constants.ENDPOINT):
        msg = f"the hub must answer within {HUB_TIMEOUT_S:g} s for the weights of {repository}, got nothing; {cure}"
        raise BundleError(msg)
    try:
        return Path(huggingface_hub.hf_hub_download(repository, stored_as, etag_timeout=HUB_TIMEOUT_S))
    except (OSError, ValueError, huggingface_hub.errors.EntryNotFoundError) as exc:
        msg = f"the hub must give the weights of {repository}, got {type(exc).__name__}; {cure}"
        raise BundleError(msg) from exc


def _answers(endpoint: str) -> bool:
    """Return whether a web address gives any answer at all, even a refusal."""
    if not endpoint.startswith(("https://", "http://")):
        return False
    try:
        urllib.request.urlopen(  # noqa: S310  checked above
            urllib.request.Request(endpoint, method="HEAD"),  # noqa: S310
            timeout=HUB_TIMEOUT_S,
        ).close()
    except urllib.error.HTTPError as exc:
        exc.close()
    except OSError:
        return False
    return True
