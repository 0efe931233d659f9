"""What training and test share that they should not: patients, near-duplicate pictures, augmented twins.

How the limits were chosen, on 909 axial T1 slices of 303 patients (Sudirman) as thumbnails. The hash alone cannot
tell, since all slices have one outline: of 411,777 pairs of different patients 240 lie within 6 bits, and 47 mirrored
ones. Their fine detail correlates at most 0.64 (0.68 over all pairs, hash or not). Of the 909 pairs of one patient, 19
lie within 6 bits; the four of these that correlate by 0.70 and more are the ones that look the same to the eye. Of 909
slices that were shifted and zoomed by up to a tenth, and mirrored at random, as the second document augments, 97 in
100 correlate by 0.85 and more with their original when aligned; those of other patients by at most 0.81. In a whole
audit, 175 of 182 hidden twins were found, and none of 131,220 pairs of different patients was taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.likeness import (
    bits_apart,
    likeness_aligned,
    likeness_in_place,
    mirror_images,
    perceptual_hashes,
    searched,
    thumbnails,
    tried_changes,
)

_BLOCK = 256
"""Test pictures compared at once."""


@dataclass(frozen=True)
class LeakLimits:
    """Limits from which two pictures count as the same."""

    hash_bits: int = 6
    """Most bits of 64 in which the hashes of near-duplicates differ."""
    duplicate: float = 0.70
    """Least correlation of fine detail of near-duplicates, lying in the same frame or mirrored."""
    twin: float = 0.85
    """Least correlation of fine detail of augmented twins, once aligned."""
    promising: float = 0.75
    """Least correlation of coarse detail for which an alignment is tried; 99 in 100 twins had 0.79 and more."""
    aligned: int = 3
    """Training pictures aligned with each test picture, the most promising ones; 97 in 100 twins were among them."""


@dataclass(frozen=True, eq=False)
class AuditedPictures:
    """One side of a split, as the audit looks at it.

    Raises
    ------
    ValueError
        If lengths differ or the pictures are not a stack of 8-bit pictures.
    """

    names: tuple[str, ...]
    patients: tuple[str | None, ...]
    """None where unknown."""
    pictures: NDArray[np.uint8]
    """Shape (n, rows, columns); as prepared for a network or any smaller."""
    sources: tuple[str, ...] | None = None
    """Name of the picture that each was made from by augmentation (its own where it was not); None if there was no
    augmentation, or none is known."""

    def __post_init__(self) -> None:
        n = len(self.names)
        sources = n if self.sources is None else len(self.sources)
        shape = self.pictures.shape
        if (
            len(shape) != 3
            or self.pictures.dtype != np.uint8
            or {len(self.patients), sources, shape[0]} != {n}
        ):
            msg = (
                f"pictures to audit must be (n, rows, columns) uint8 with a name, patient and source each, got "
                f"{shape} {self.pictures.dtype}, {n} names, {len(self.patients)} patients, {sources} sources"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class Pair:
    """A training picture and a test picture that are the same."""

    train: str
    test: str
    likeness: float
    """Correlation of fine detail; 1 for a twin known by its source."""
    mirrored: bool
    """One has left and right swapped."""


@dataclass(frozen=True)
class LeakReport:
    """What the two sides share."""

    shared_patients: tuple[str, ...]
    near_duplicates: tuple[Pair, ...]
    """Same picture in the same frame, perhaps mirrored."""
    twins: tuple[Pair, ...]
    """Same picture shifted, zoomed or mirrored, or made from the same source."""
    leaking_test_places: tuple[int, ...]
    """Places of the test pictures with a shared patient, a near-duplicate or a twin in training."""


def audit(train: AuditedPictures, test: AuditedPictures, *, limits: LeakLimits = LeakLimits()) -> LeakReport:
    """Return what training and test share.

    Parameters
    ----------
    train : AuditedPictures
        Augmented copies that were written to disk included.
    test : AuditedPictures
    limits : LeakLimits

    Raises
    ------
    ValueError
        If either side is empty.
    """
    if not train.names or not test.names:
        msg = f"both sides of a split must hold pictures, got {len(train.names)} and {len(test.names)}"
        raise ValueError(msg)
    shared = {p for p in train.patients if p is not None} & {p for p in test.patients if p is not None}
    duplicates, twins = _alike(train, test, limits)
    twins = _merged(_same_source(train, test), twins)
    seen = {pair.test for pair in (*duplicates, *twins)}
    places = (
        place
        for place, (name, patient) in enumerate(zip(test.names, test.patients, strict=True))
        if patient in shared or name in seen
    )
    return LeakReport(tuple(sorted(shared)), duplicates, twins, tuple(places))


def _alike(
    train: AuditedPictures, test: AuditedPictures, limits: LeakLimits
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    train_thumbs, test_thumbs = thumbnails(train.pictures), thumbnails(test.pictures)
    duplicates: list[Pair] = []
    twins: list[Pair] = []
    for first in range(0, len(test.names), _BLOCK):
        part = test_thumbs[first : first + _BLOCK]
        for i, j, likeness, mirrored in _duplicates(train_thumbs, part, limits):
            duplicates.append(Pair(train.names[i], test.names[first + j], likeness, mirrored))
        for i, j, likeness, mirrored in _twins(train_thumbs, part, limits):
            twins.append(Pair(train.names[i], test.names[first + j], likeness, mirrored))
    known = {(pair.train, pair.test) for pair in duplicates}
    return tuple(duplicates), tuple(pair for pair in twins if (pair.train, pair.test) not in known)


def _duplicates(
    train: NDArray[np.float32], test: NDArray[np.float32], limits: LeakLimits
) -> Iterator[tuple[int, int, float, bool]]:
    hashes = perceptual_hashes(test)
    for mirrored, shown in ((False, train), (True, mirror_images(train))):
        near = bits_apart(perceptual_hashes(shown), hashes) <= limits.hash_bits
        for i, j in np.argwhere(near).tolist():
            likeness = 1.0 if np.array_equal(shown[i], test[j]) else likeness_in_place(shown[i], test[j])
            if likeness >= limits.duplicate:
                yield i, j, likeness, mirrored


def _twins(
    train: NDArray[np.float32], test: NDArray[np.float32], limits: LeakLimits
) -> Iterator[tuple[int, int, float, bool]]:
    coarse, which = searched(train, test)
    changes = tried_changes()
    for j in range(len(test)):
        for i in np.argsort(-coarse[:, j], kind="stable")[: limits.aligned].tolist():
            if coarse[i, j] < limits.promising:
                break
            change = changes[which[i, j]]
            likeness = likeness_aligned(train[i], test[j], change)
            if likeness >= limits.twin:
                yield i, j, likeness, change.mirrored


def _same_source(train: AuditedPictures, test: AuditedPictures) -> tuple[Pair, ...]:
    """Pairs made from one picture; a side without sources was not augmented, so each picture is its own."""
    of_source: dict[str, str] = {}
    for name, source in zip(train.names, train.sources or train.names, strict=True):
        of_source.setdefault(source, name)
    return tuple(
        Pair(of_source[source], name, 1.0, mirrored=False)
        for name, source in zip(test.names, test.sources or test.names, strict=True)
        if source in of_source
    )


def _merged(known: tuple[Pair, ...], found: tuple[Pair, ...]) -> tuple[Pair, ...]:
    pairs = {(pair.train, pair.test) for pair in known}
    return known + tuple(pair for pair in found if (pair.train, pair.test) not in pairs)
