"""Slices of every series of a cohort to vectors, by an encoder that is not trained here; kept on disk study by study.

Slices go in geometric order. A series angled disc by disc is several stacks: each is embedded by itself, from the head
down, and their vectors follow one another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from stenograde.datasets.rsna2024 import AnsweredStudy, read_answered_studies
from stenograde.errors import ConfigError, DatasetError
from stenograde.evaluate.rsna_metric import UNKNOWN
from stenograde.files import whole_file, write_whole
from stenograde.images.pictures import Intensity, PictureConfig, prepare_picture
from stenograde.nets.volume_encoder import StackEncoder
from stenograde.nets.weights import NOT_PRETRAINED, load_weights
from stenograde.study import Series, Study
from stenograde.terms import LUMBAR_MRI, Role

Vectors = NDArray[np.float32]

SETTINGS = "settings.json"
"""How the vectors in a folder were made."""

STUDIES = "studies.json"
"""Names of the studies in a folder, once all are there."""

_AT_ONCE = 16
"""Slices that go through an encoder at once."""


@dataclass(frozen=True)
class EmbedConfig:
    """How slices become vectors."""

    encoder: str = "resnet50"
    """See :class:`stenograde.nets.volume_encoder.StackEncoder`."""
    intensity: Intensity = "minmax"
    """``minmax`` is the document's grayscale normalisation, ``equalise`` its histogram equalisation."""
    size_px: int = 224
    seed: int = 0
    """Of the random start, where no weights are given."""
    precision: Literal["32", "bf16"] = "32"

    def __post_init__(self) -> None:
        if self.size_px < 32:
            msg = f"size_px must be at least 32, got {self.size_px}"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class EmbeddedStudy:
    """The vectors of one study."""

    name: str
    vectors: Mapping[Role, Vectors]
    """Of each series that is there, shape (tokens, width)."""
    severities: NDArray[np.int64]
    """Ranks of the cells of :data:`~stenograde.terms.LUMBAR_MRI`, ``UNKNOWN`` without a label."""
    metadata: Mapping[str, str | float | None]
    """How each series was acquired, by :func:`metadata_of`; None of a series that is missing."""


@dataclass(frozen=True, eq=False)
class EmbeddedCohort:
    """The vectors of a cohort."""

    studies: tuple[EmbeddedStudy, ...]
    start: str
    """What the encoder started from, in words."""

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return next(one.shape[1] for study in self.studies for one in study.vectors.values())


def embed_cohort(
    data: Path,
    config: EmbedConfig,
    folder: Path,
    *,
    weights: Path | Literal["hub"] | None = None,
    done: Callable[[int], None] | None = None,
) -> EmbeddedCohort:
    """Embed the slices of every labelled study, or go on embedding them.

    Parameters
    ----------
    data : Path
        As ``stenograde phantom`` writes it, or RSNA 2024.
    config : EmbedConfig
    folder : Path
        Gets one file per study.
    weights : Path or "hub", optional
        What the encoder starts from; without, a random start.
    done : callable, optional
        Called with the number of studies that are there.

    Raises
    ------
    BundleError
        If the weights do not fit the encoder.
    ConfigError
        If the folder holds vectors of other settings.
    DatasetError
        If a table or the pictures are missing, or no study has labels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / STUDIES).is_file():
        said = _checked(folder, data, config, weights, start=None)
        names = json.loads((folder / STUDIES).read_text(encoding="utf-8"))
        return EmbeddedCohort(tuple(_stored(folder, name) for name in names), said)
    torch.manual_seed(config.seed)
    net = StackEncoder(config.encoder)
    start = NOT_PRETRAINED if weights is None else load_weights(net, weights).pretrained
    _checked(folder, data, config, weights, start=start)
    names = []
    notes: list[str] = []
    for one in read_answered_studies(data, notes=notes):
        names.append(one.name)
        if not (folder / f"{one.name}.npz").is_file():
            _store(folder, one, embed_study(one.study, net, config))
        if done:
            done(len(names))
    if not names:
        msg = f"{data} must hold studies with labels, got none" + "".join(f"; {note}" for note in notes[:3])
        raise DatasetError(msg)
    write_whole(folder / STUDIES, json.dumps(names))
    return EmbeddedCohort(tuple(_stored(folder, name) for name in names), start)


def embed_study(study: Study, net: StackEncoder, config: EmbedConfig) -> dict[Role, Vectors]:
    """Return the vectors of the series of a study, by role; a role without a series is absent."""
    found = {role: study.by_role(role) for role in Role}
    return {
        role: np.concatenate([_of_stack(stack, net, config) for stack in stacks_of(series)])
        for role, series in found.items()
        if series is not None
    }


def stacks_of(series: Series) -> Iterator[NDArray[np.float32]]:
    """Give the slices of each stack of a series, (n, rows, columns): stacks from the head down, slices in order."""
    for volume in sorted(series.volumes, key=lambda one: -float(one.affine[2, 3])):
        yield volume.pixels


METADATA_NUMBERS = tuple(
    f"{role.value}_{name}" for role in Role for name in ("slices", "step_mm", "pixel_mm")
)
"""Metadata that are numbers."""

METADATA_CATEGORIES = tuple(f"{role.value}_weighting" for role in Role)
"""Metadata that are words."""


def metadata_of(study: Study) -> dict[str, str | float | None]:
    """Return how the series of a study were acquired, as far as their geometry and weighting tell."""
    found: dict[str, str | float | None] = dict.fromkeys((*METADATA_NUMBERS, *METADATA_CATEGORIES))
    for role in Role:
        series = study.by_role(role)
        if series is None:
            continue
        largest = max(series.volumes, key=lambda one: one.shape[0])
        step_mm, pixel_mm, _ = largest.spacing_mm
        found |= {
            f"{role.value}_slices": float(series.n_slices),
            f"{role.value}_step_mm": round(step_mm, 3),
            f"{role.value}_pixel_mm": round(pixel_mm, 4),
            f"{role.value}_weighting": None if series.weighting is None else series.weighting.value,
        }
    return found


def _of_stack(slices: NDArray[np.float32], net: StackEncoder, config: EmbedConfig) -> Vectors:
    how = PictureConfig(size_px=(config.size_px, config.size_px), intensity=config.intensity)
    pictures = np.stack([prepare_picture(one, how) for one in slices]).astype(np.float32) / 255
    values = torch.from_numpy(pictures)
    parts = [values] if net.sees_stack else values.split(_AT_ONCE)
    half = config.precision == "bf16"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
        return torch.cat([net(part).float() for part in parts]).numpy()


def _checked(
    folder: Path, data: Path, config: EmbedConfig, weights: Path | str | None, *, start: str | None
) -> str:
    """Write how vectors are made, or check that they were made so; gives what the encoder started from."""
    asked = {
        **asdict(config),
        "data": str(data.resolve()),
        "weights": None if weights is None else str(weights),
    }
    path = folder / SETTINGS
    if not path.is_file():
        write_whole(path, json.dumps({**asked, "start": start}, indent=1))
    said = json.loads(path.read_text(encoding="utf-8"))
    if {name: said.get(name) for name in asked} != asked:
        msg = f"vectors in {folder} must be of the same settings, got others; choose another folder or delete them"
        raise ConfigError(msg)
    return str(said["start"])


def _store(folder: Path, one: AnsweredStudy, vectors: Mapping[Role, Vectors]) -> None:
    ranks = [one.severities[cell].rank if cell in one.severities else UNKNOWN for cell in LUMBAR_MRI.cells]
    arrays: dict[str, Any] = {role.value: values.astype(np.float16) for role, values in vectors.items()}
    with whole_file(folder / f"{one.name}.npz") as file:
        told = json.dumps(metadata_of(one.study))
        np.savez(file, severities=np.array(ranks, np.int64), metadata=np.array(told), **arrays)


def _stored(folder: Path, name: str) -> EmbeddedStudy:
    with np.load(folder / f"{name}.npz") as stored:
        vectors = {role: stored[role.value].astype(np.float32) for role in Role if role.value in stored}
        return EmbeddedStudy(name, vectors, stored["severities"], json.loads(str(stored["metadata"])))
