"""The leak audit on made-up pictures: what must be found, and what must not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from stenograde.evaluate.leakage import (
    AuditedPictures,
    audit,
)

SIDE = 96


def body_slices(n: int, *, seed: int) -> NDArray[np.uint8]:
    """Return pictures that share an outline, as slices do, each with texture of its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    outline = 120.0 * ((x / 0.9) ** 2 + (y / 0.7) ** 2 < 1)
    texture = gaussian_filter(rng.normal(size=(n, SIDE, SIDE)), (0, 2, 2))
    pictures = outline * (1 + 0.35 * texture / texture.std())
    return np.clip(pictures + rng.normal(0, 2, pictures.shape), 0, 255).astype(np.uint8)


def side_of(
    pictures: NDArray[np.uint8], prefix: str, *, sources: tuple[str, ...] | None = None
) -> AuditedPictures:
    """Return pictures of unknown patients, named by a prefix and a number."""
    names = tuple(f"{prefix}{i}" for i in range(len(pictures)))
    return AuditedPictures(names, (None,) * len(names), pictures, sources)


def augmented(picture: NDArray[np.uint8], *, zoom: float, shift: tuple[float, float]) -> NDArray[np.uint8]:
    """Return a picture as an augmentation would show it."""
    middle = (SIDE - 1) / 2
    offset = middle * (1 - zoom) + SIDE * np.array(shift)
    return affine_transform(picture, np.diag([zoom, zoom]), offset, order=1, mode="nearest")


TRAIN = body_slices(12, seed=0)
TEST = body_slices(6, seed=1)


def test_audit_when_nothing_is_shared_then_nothing_is_found() -> None:
    report = audit(side_of(TRAIN, "train"), side_of(TEST, "test"))
    assert (report.shared_patients, report.near_duplicates, report.twins) == ((), (), ())
    assert report.leaking_test_places == ()


def test_audit_when_a_patient_is_on_both_sides_then_its_test_pictures_leak() -> None:
    train = AuditedPictures(("a", "b", "c"), ("7", "8", None), TRAIN[:3])
    test = AuditedPictures(("d", "e", "f", "g"), ("8", "9", None, "8"), TEST[:4])
    report = audit(train, test)
    assert report.shared_patients == ("8",)
    assert report.leaking_test_places == (0, 3)


def test_audit_when_a_picture_comes_again_brighter_and_noisier_then_it_is_a_near_duplicate() -> None:
    noise = np.random.default_rng(2).normal(0, 4, TEST[0].shape)
    again = np.clip(TEST[2] * 0.8 + 20 + noise, 0, 255).astype(np.uint8)
    report = audit(side_of(np.concatenate([TRAIN, again[None]]), "train"), side_of(TEST, "test"))
    (pair,) = report.near_duplicates
    assert (pair.train, pair.test, pair.mirrored) == ("train12", "test2", False)
    assert pair.likeness > 0.8
    assert report.leaking_test_places == (2,)


def test_audit_when_a_picture_comes_again_mirrored_then_it_is_found_and_said_to_be_mirrored() -> None:
    report = audit(side_of(np.concatenate([TRAIN, TEST[4, :, ::-1][None]]), "train"), side_of(TEST, "test"))
    (pair,) = report.near_duplicates
    assert (pair.train, pair.test, pair.mirrored) == ("train12", "test4", True)
    assert report.twins == ()


@pytest.mark.parametrize(
    ("zoom", "shift", "mirrored"),
    [(1.0, (0.1, -0.1), False), (0.92, (-0.06, 0.03), False), (1.08, (0.02, 0.09), True)],
)
def test_audit_when_a_twin_was_shifted_zoomed_and_mirrored_then_it_is_found_without_its_name(
    zoom: float, shift: tuple[float, float], mirrored: bool
) -> None:
    twin = augmented(TEST[1], zoom=zoom, shift=shift)
    twin = twin[:, ::-1] if mirrored else twin
    report = audit(side_of(np.concatenate([TRAIN, twin[None]]), "train"), side_of(TEST, "test"))
    (pair,) = report.twins
    assert (pair.train, pair.test, pair.mirrored) == ("train12", "test1", mirrored)
    assert report.leaking_test_places == (1,)


def test_audit_when_sources_are_named_then_twins_are_found_however_changed() -> None:
    train = side_of(TRAIN[:2], "copy", sources=("test3", "other"))
    report = audit(train, side_of(TEST, "test"))
    assert [(pair.train, pair.test, pair.likeness) for pair in report.twins] == [("copy0", "test3", 1.0)]
    both = audit(train, side_of(TEST[:1], "copyof", sources=("other",)))
    assert [(pair.train, pair.test) for pair in both.twins] == [("copy1", "copyof0")]


def test_audit_when_pictures_are_of_one_grey_then_equal_ones_are_found() -> None:
    flat = np.full((1, SIDE, SIDE), 90, np.uint8)
    report = audit(side_of(np.concatenate([TRAIN, flat]), "train"), side_of(flat, "test"))
    assert {(pair.train, pair.test) for pair in report.near_duplicates} == {("train12", "test0")}


def test_audit_when_a_side_is_wrong_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 6"):
        audit(side_of(TRAIN[:0], "train"), side_of(TEST, "test"))
    with pytest.raises(ValueError, match="2 names, 2 patients, 2 sources"):
        AuditedPictures(("a", "b"), (None, None), TRAIN)
    with pytest.raises(ValueError, match="float64"):
        AuditedPictures(("a",), (None,), TRAIN[:1].astype(np.float64))  # type: ignore[arg-type]
