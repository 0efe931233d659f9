"""Pictures of a set cropped around one anatomy, found by a template that is fitted to some of them without labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stenograde.datasets.samples import Sample, SampleSet, StoredPicture
from stenograde.errors import DatasetError
from stenograde.images.align import AlignConfig, Template, aligned, fit_template, write_template
from stenograde.terms import Level

MOST_FITTED = 300
"""Largest number of pictures, taken evenly from the set, to fit a template to; more hardly change its mean."""


@dataclass(frozen=True, eq=False)
class AlignedPicture:
    """The crop of a picture around a template; a :class:`stenograde.datasets.samples.StoredPicture`."""

    whole: StoredPicture
    template: Template
    config: AlignConfig
    kind: int | None
    digest: str
    """Digest of template and config."""

    @property
    def key(self) -> str:
        """Key of the whole picture and of the crop."""
        return f"{self.whole.key}|{self.digest}|{self.kind}"

    def read(self) -> NDArray[np.float32]:
        """Return the crop, shape (side, side), stored intensities.

        Raises
        ------
        DatasetError
            If the picture cannot be read.
        """
        return aligned(self.whole.read(), self.template, self.config, self.kind)


def template_of(samples: SampleSet, config: AlignConfig, levels: Sequence[Level]) -> Template:
    """Return a template fitted to the pictures of a set; labels are not used.

    Parameters
    ----------
    samples : SampleSet
    config : AlignConfig
    levels : sequence of Level
        Levels, each with its own template; if empty, there is one template for all.

    Raises
    ------
    DatasetError
        If a picture cannot be read, or a level has no picture.
    """
    usable = [sample for sample in samples.samples if not levels or sample.level in levels]
    chosen = usable[:: 1 + (len(usable) - 1) // MOST_FITTED] if usable else []
    kinds = [_kind(sample, levels) or 0 for sample in chosen]
    if set(kinds) != set(range(max(len(levels), 1))):
        wanted = ", ".join(level.shown for level in levels) or "the set"
        msg = f"{samples.name} must hold pictures of each of {wanted} to fit a template, got {len(chosen)}"
        raise DatasetError(msg)
    return fit_template([sample.picture.read() for sample in chosen], config, kinds)


def align_samples(
    samples: SampleSet, template: Template, config: AlignConfig, levels: Sequence[Level]
) -> SampleSet:
    """Return a set whose pictures are the crops around a template.

    Parameters
    ----------
    samples : SampleSet
    template : Template
    config : AlignConfig
    levels : sequence of Level
        Levels that the template was fitted with; a picture of unknown level uses the kind that fits best.
    """
    digest = hashlib.sha256(write_template(template) + repr(config).encode()).hexdigest()[:16]
    cut = tuple(
        replace(
            sample,
            picture=AlignedPicture(sample.picture, template, config, _kind(sample, levels), digest),
        )
        for sample in samples.samples
    )
    return replace(samples, samples=cut)


def _kind(sample: Sample, levels: Sequence[Level]) -> int | None:
    return levels.index(sample.level) if sample.level in levels else None
