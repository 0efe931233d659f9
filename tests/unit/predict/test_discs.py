"""Findings of discs in a study: which slice is read, what is said where nothing can be, heads that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.plain_volumes import volume_of

from stenograde.errors import BundleError
from stenograde.grades import DiscFinding, DiscFindings, DiscScore, Status
from stenograde.levels.disc_crop import DiscCropConfig, cut_discs, to_scale
from stenograde.predict import discs as subject
from stenograde.predict.disc_net import DiscNetEntry
from stenograde.predict.discs import (
    ABOVE,
    GUESSED,
    SETS,
    DiscEntry,
    DiscHead,
    DiscHeads,
    judge_discs,
    open_heads,
    write_heads,
)
from stenograde.predict.weight_files import WeightFile
from stenograde.study import Series, Study
from stenograde.terms import LUMBAR_MRI, Level, Plane, Role, Weighting

VIEW = DiscCropConfig(rows=16, columns=16, pixel_mm=1.0, behind_mm=0.0)
QUESTIONS = (DiscFinding.NARROWING.value, *ABOVE)
ENTRY = DiscEntry(WeightFile("discs.npz", ""), QUESTIONS, (1, 1), (), "made up", (VIEW,))
MAPS: Any = (None, SimpleNamespace(onnx=WeightFile("maps.onnx", "")))
AFFINE = np.array([[4.0, 0, 0, -8], [0, 0, 0.8, -40], [0, -0.8, 0, 80], [0, 0, 0, 1]])
"""Sagittal: slices to the left, rows to the feet, columns to the back."""


def heads(bias: float = 0.0) -> DiscHeads:
    """Heads that add up the features of all series."""
    by_set = {
        series: DiscHead(
            np.ones((len(QUESTIONS), len(series)), np.float32), np.full((len(QUESTIONS), 5), bias, np.float32)
        )
        for series in SETS
    }
    cuts = {series: np.array([1.5, 2.5, 3.5, 4.5]) for series in SETS}
    return DiscHeads(by_set, cuts, np.full((5, len(QUESTIONS)), 0.5))


def points(*, guessed: tuple[Level, ...] = (), missing: tuple[Level, ...] = (), certain: bool = True) -> Any:
    """Discs every 25 mm along a straight spine, in the plane x = 0."""
    levels = tuple(reversed(LUMBAR_MRI.levels))
    chain = [
        SimpleNamespace(name=level.shown, centre=(100.0 - 25 * k, 50.0), guessed=level in guessed)
        for k, level in enumerate(levels)
    ]

    def to_patient(at: np.ndarray) -> np.ndarray:
        at = np.atleast_2d(at)
        return np.column_stack([np.zeros(len(at)), at[:, 1] - 50, 60 - at[:, 0]])

    known = {
        level: SimpleNamespace(disc=disc)
        for level, disc in zip(levels, chain, strict=True)
        if level not in missing
    }
    return SimpleNamespace(
        levels=known,
        surface=SimpleNamespace(to_patient=to_patient),
        chain=SimpleNamespace(discs=tuple(chain), certain=certain),
    )


def series(role: Role, weighting: Weighting, value: float = 0.0) -> Series:
    pixels = np.random.default_rng(0).normal(size=(5, 200, 100)).astype(np.float32) + value
    return Series(
        f"1.2.{role.value}", Plane.SAGITTAL, weighting, role, "made up", (volume_of(pixels, AFFINE),)
    )


T1, T2 = (
    series(Role.SAGITTAL_T1, Weighting.T1),
    series(Role.SAGITTAL_T2_STIR, Weighting.T2),
)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The crops that features are taken from; each feature is the mean of its crop."""
    kept: list[np.ndarray] = []

    def features_of(_: object, __: object, crops: np.ndarray, ___: object) -> np.ndarray:
        kept.append(crops)
        return crops.mean(axis=(1, 2))[:, None, None, None]

    monkeypatch.setattr(subject, "features_of", features_of)
    return kept


class Looks:
    """In place of a net that answers the first question: the mean of what it is given, all series together."""

    places = (0,)

    def logits(self, crops: np.ndarray, levels: np.ndarray, series: tuple[str, ...]) -> np.ndarray:
        assert crops.shape[:2] == (len(levels), len(series))
        return np.asarray(crops.mean(axis=(1, 2, 3))[:, None])


def test_the_logit_is_the_mean_of_the_heads_and_the_net(seen: list[np.ndarray]) -> None:
    look = DiscCropConfig(rows=20, columns=24, pixel_mm=0.5, behind_mm=3.0)
    entry = replace(ENTRY, net=DiscNetEntry(WeightFile("net.onnx", ""), look, QUESTIONS[:1]))
    both: Any = replace(heads(0.25), net=Looks())
    found = {one.level: one for one in judge_discs(Study("1.2.3", (T2,)), points(), entry, both, MAPS)}
    centres = [((80 - (60 - (100 - 25 * k))) / 0.8, 40 / 0.8) for k in range(5)]
    picture = T2.volumes[0].slices([2])[0]
    seen_as = [
        cut_discs(to_scale(picture), (0.8, 0.8), centres, view).mean(axis=(1, 2)) for view in (VIEW, look)
    ]
    for k, level in enumerate(reversed(LUMBAR_MRI.levels)):
        logit = (seen_as[0][k] + 0.25 + seen_as[1][k]) / 2
        yes = found[level].probabilities[DiscFinding.NARROWING]
        assert np.log(yes / (1 - yes)) == pytest.approx(logit, abs=1e-5)
        # the other questions are answered by the heads alone, all of them alike
        at_most_1 = found[level].pfirrmann[0]
        assert np.log((1 - at_most_1) / at_most_1) == pytest.approx(seen_as[0][k] + 0.25, abs=1e-5)


def judged(*given: Series, of: Any = None) -> dict[Level, DiscFindings]:
    study = Study("1.2.3", given)
    found = judge_discs(study, of or points(), ENTRY, heads(), MAPS)
    assert [one.level for one in found] == list(LUMBAR_MRI.levels)
    return {one.level: one for one in found}


def test_each_disc_is_cut_from_the_slice_through_its_middle_as_a_data_set_is(seen: list[np.ndarray]) -> None:
    found = judged(T2)
    # x = 0 is slice 2; rows are z = 80 - 0.8 row, columns y = -40 + 0.8 column
    centres = [((80 - (60 - (100 - 25 * k))) / 0.8, 40 / 0.8) for k in range(5)]
    wanted = cut_discs(to_scale(T2.volumes[0].slices([2])[0]), (0.8, 0.8), centres, VIEW)
    by_level = dict(zip(points().levels, seen[0], strict=True))
    for k, level in enumerate(reversed(LUMBAR_MRI.levels)):
        np.testing.assert_allclose(by_level[level], wanted[k], atol=1e-5)
        yes = 1 / (1 + np.exp(-float(wanted[k].mean())))
        assert found[level].probabilities[DiscFinding.NARROWING] == pytest.approx(yes, abs=1e-5)
        assert found[level].evidence[0].sop_instance_uid == T2.volumes[0].sop_instance_uids[2]
        assert sum(found[level].pfirrmann) == pytest.approx(1)
        assert found[level].grade in range(1, 6)


def test_all_series_that_are_there_are_asked(seen: list[np.ndarray]) -> None:
    both, alone = judged(T1, T2), judged(T1)
    assert [len(crops) for crops in seen] == [10, 5]
    assert len(both[Level.L4_L5].evidence) == 2
    assert len(alone[Level.L4_L5].evidence) == 1


def test_a_stir_series_is_not_taken_for_a_t2(seen: list[np.ndarray]) -> None:
    stir = replace(T2, weighting=Weighting.STIR)
    assert len(judged(T1, stir)[Level.L4_L5].evidence) == 1
    alone = judged(stir)[Level.L4_L5]
    assert alone.status is Status.ABSTAINED
    assert "not learnt on STIR" in alone.reason


def test_a_disc_that_no_slice_shows_has_a_reason(seen: list[np.ndarray]) -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 60
    aside = replace(T2, volumes=(volume_of(np.array(T2.volumes[0].pixels), moved),))
    for one in judged(aside).values():
        assert one.status is Status.ABSTAINED
        assert one.reason == "no slice of T2 shows the disc"


def test_guessed_and_missing_discs_are_not_answered_and_doubtful_names_are_said(
    seen: list[np.ndarray],
) -> None:
    found = judged(T2, of=points(guessed=(Level.L3_L4,), missing=(Level.L1_L2,), certain=False))
    assert (found[Level.L3_L4].status, found[Level.L3_L4].reason) == (Status.ABSTAINED, GUESSED)
    assert found[Level.L1_L2].status is Status.NOT_IMAGED
    assert found[Level.L4_L5].status is Status.GRADED
    alone = "answered from T2 alone; the scores told are of T1 and T2 together"
    assert found[Level.L4_L5].reason == f"the name of the level is uncertain; {alone}"


def test_heads_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_heads(tmp_path / "discs.npz", heads(0.5))
    read = open_heads(tmp_path, ENTRY, MAPS[1], channels=1)
    for series_ in SETS:
        np.testing.assert_array_equal(read.by_set[series_].weights, heads().by_set[series_].weights)
        np.testing.assert_array_equal(read.by_set[series_].of_level, heads(0.5).by_set[series_].of_level)


def test_weights_are_kept_to_seven_significant_bits(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).normal(size=(len(QUESTIONS), 1)) * np.geomspace(1e-3, 100, 5)[:, None]
    kept = heads()
    by_set = {
        s: replace(one, weights=np.repeat(drawn, len(s), axis=1).astype(np.float32))
        for s, one in kept.by_set.items()
    }
    write_heads(tmp_path / "discs.npz", replace(kept, by_set=by_set))
    read = open_heads(tmp_path, ENTRY, MAPS[1], channels=1)
    np.testing.assert_allclose(read.by_set[("t2",)].weights, drawn, rtol=2.0**-7)
    assert not np.array_equal(read.by_set[("t2",)].weights, drawn)


def test_heads_of_other_features_or_no_numbers_are_refused(tmp_path: Path) -> None:
    write_heads(tmp_path / "discs.npz", heads())
    with pytest.raises(BundleError, match="must have shapes"):
        open_heads(tmp_path, ENTRY, MAPS[1], channels=2)
    write_heads(tmp_path / "discs.npz", heads(float("nan")))
    with pytest.raises(BundleError, match="finite numbers"):
        open_heads(tmp_path, ENTRY, MAPS[1], channels=1)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    arrays = {
        f"{'+'.join(s)}.{name}": np.array([{}]) for s in SETS for name in ("weights", "of_level", "cuts")
    }
    np.savez(tmp_path / "discs.npz", **arrays)
    with pytest.raises(BundleError, match="must hold heads"):
        open_heads(tmp_path, ENTRY, MAPS[1], channels=1)


def test_an_entry_asks_for_what_is_known_and_all_pfirrmann_grades() -> None:
    for questions in (("tumour",), ("narrowing", ABOVE[0]), ()):
        with pytest.raises(ValueError, match="questions must be of"):
            replace(ENTRY, questions=questions)
    with pytest.raises(ValueError, match="one size in pixels"):
        replace(ENTRY, views=(VIEW, DiscCropConfig()))
    with pytest.raises(ValueError, match="score of discs"):
        DiscScore("tumour", 0.9, 0.8, 1.0, 0.5, 10, 5, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": Status.GRADED},
        {"status": Status.ABSTAINED},
        {"status": Status.ABSTAINED, "reason": "x", "probabilities": {DiscFinding.BULGING: 0.5}},
        {"status": Status.GRADED, "probabilities": {DiscFinding.BULGING: 1.5}},
        {"status": Status.GRADED, "pfirrmann": (0.5, 0.5), "grade": 1},
        {"status": Status.GRADED, "pfirrmann": (0.5, 0.5, 0.5, 0.0, 0.0), "grade": 1},
        {"status": Status.GRADED, "pfirrmann": (1.0, 0.0, 0.0, 0.0, 0.0)},
    ],
)
def test_findings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="L4/L5"):
        DiscFindings(Level.L4_L5, **wrong)
