"""Samples: single pictures with label, patient and content; every data set becomes a ``SampleSet``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stenograde.errors import DatasetError
from stenograde.terms import Level, Side, Weighting


class StoredPicture(Protocol):
    """A picture that can be read when needed."""

    @property
    def key(self) -> str:
        """Identity of the content, which changes with the stored bytes (such as path, size and modification time)."""
        ...

    def read(self) -> NDArray[np.float32]:
        """Return the picture, shape (rows, columns), stored intensities.

        Raises
        ------
        DatasetError
            If it cannot be read.
        """
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture and what is known about it; anything unknown is None."""

    name: str
    """Name, unique within its set; never a name or number of a patient that is not already public."""
    picture: StoredPicture
    patient: str | None
    """Patient, as numbered in the set."""
    label: str | None
    """One of the classes of the set."""
    level: Level | None = None
    side: Side | None = None
    weighting: Weighting | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """Any further facts in the set: study, series, instance, note."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples of one data set.

    Raises
    ------
    DatasetError
        If names repeat, or a label is not one of the classes.
    """

    name: str
    classes: tuple[str, ...]
    """Classes in the order of their codes; severities ascend."""
    samples: tuple[Sample, ...]
    licence: str = "unknown"
    notes: tuple[str, ...] = ()
    """Notes for the report on what was left out or tolerated while reading."""

    def __post_init__(self) -> None:
        names = [sample.name for sample in self.samples]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})[:3]
            msg = f"sample names of {self.name} must be unique, got {', '.join(twice)} more than once"
            raise DatasetError(msg)
        for sample in self.samples:
            if sample.label is not None and sample.label not in self.classes:
                msg = f"label of {sample.name} must be one of {', '.join(self.classes)}, got {sample.label!r}"
                raise DatasetError(msg)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def codes(self) -> NDArray[np.int64]:
        """Label of each sample as its index in ``classes``, shape (n,); -1 for none."""
        places = {name: code for code, name in enumerate(self.classes)}
        return np.array([-1 if s.label is None else places[s.label] for s in self.samples], np.int64)

    @property
    def patients(self) -> tuple[str, ...]:
        """Patient of each sample.

        Raises
        ------
        DatasetError
            If the patient of a sample is unknown, so that no split by patient is possible.
        """
        unknown = [sample.name for sample in self.samples if sample.patient is None]
        if unknown:
            msg = (
                f"{self.name} must say whose each picture is to be split by patient, got {len(unknown)} pictures "
                f"without (first: {unknown[0]}); give a pattern or a column that names the patient"
            )
            raise DatasetError(msg)
        return tuple(str(sample.patient) for sample in self.samples)

    def labelled(self) -> SampleSet:
        """Return the samples that have a label."""
        return replace(self, samples=tuple(s for s in self.samples if s.label is not None))

    def chosen(self, places: Iterable[int]) -> SampleSet:
        """Return the samples at given indices, in that order."""
        return replace(self, samples=tuple(self.samples[place] for place in places))
