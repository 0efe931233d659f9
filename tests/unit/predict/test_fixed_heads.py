"""Heads answer from the level's share and the features of crops; their files are checked; what is not shown is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.placed_levels import levels, mirrored, study

from stenograde.errors import BundleError
from stenograde.levels.crop import CropConfig, CropKind, crop_levels
from stenograde.predict.bundle import BundleTable, default_bundle
from stenograde.predict.fixed_heads import (
    RANGE,
    FixedHeadsEntry,
    Head,
    crop_features,
    judge_by_heads,
    open_fixed_heads,
    strangeness_of,
)
from stenograde.predict.middle_maps import MiddleMapsEntry, pooled
from stenograde.predict.weight_files import WeightFile
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Role, Side

NOTHING = WeightFile("none.npz", "0" * 64)
RECESS, CANAL = Condition.SUBARTICULAR_STENOSIS, Condition.SPINAL_CANAL_STENOSIS
GRID, CHANNELS = 2, 3
WIDTH = CHANNELS * GRID**2
SHARES = np.array([[0.9, 0.08, 0.02], [0.8, 0.15, 0.05], [0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])
MAPS_ENTRY = MiddleMapsEntry(WeightFile("maps.onnx", "0" * 64), "none", (2,), "random")
ENTRY = FixedHeadsEntry(
    NOTHING,
    reads={RECESS.value: CropKind.AXIAL_T2, CANAL.value: CropKind.AXIAL_T2},
    usual_below={RECESS.value: 1e9, CANAL.value: 1e9},
    noise_below={RECESS.value: 9.0, CANAL.value: 9.0},
    grid=GRID,
    crops=CropConfig(slices=3, size_px=12, grid_mm=2.0),
)


class Maps:
    """A frozen encoder of three channels: the picture, its square and its slope along the columns."""

    def run(self, _: None, fed: dict[str, np.ndarray]) -> list[np.ndarray]:
        (pictures,) = fed.values()
        assert abs(pictures).max() <= 1
        return [np.concatenate([pictures, pictures**2, np.gradient(pictures, axis=3)], axis=1)]


MAPS: Any = (Maps(), MAPS_ENTRY)


def head(seed: int | None = None) -> Head:
    rng = np.random.default_rng(seed)
    weights = np.zeros(WIDTH) if seed is None else rng.normal(size=WIDTH)
    return Head(
        usual=np.zeros((5, WIDTH), np.float32),
        spread=np.ones(WIDTH, np.float32),
        weights=weights.astype(np.float32),
        shifts=np.zeros(3),
        shares=SHARES,
    )


def heads(seed: int | None = None) -> dict[Condition, Head]:
    return {RECESS: head(seed), CANAL: head(seed)}


def test_a_head_without_weights_says_the_share_of_the_level() -> None:
    judged = judge_by_heads(study(), levels(), ENTRY, heads(), MAPS)

    assert set(judged) == {
        cell for cell in LUMBAR_MRI.cells if cell.level in levels() and cell.condition in {RECESS, CANAL}
    }
    for cell, said in judged.items():
        assert said.probabilities == pytest.approx(tuple(SHARES[LUMBAR_MRI.levels.index(cell.level)]))
        assert said.doubt == ""


def test_each_step_of_the_score_multiplies_the_odds_of_neighbours_alike() -> None:
    """Odds of moderate to normal and of severe to moderate are those of the level times exp(score + shift)."""
    one = replace(head(3), shifts=np.array([0.0, 0.3, -0.2]))
    off = np.random.default_rng(1).normal(size=(4, WIDTH)).astype(np.float32)
    places = np.array([0, 2, 3, 4])
    said, score = one.probabilities(off, places), off.astype(np.float64) @ one.weights
    odds = said[:, 1:] / said[:, :-1]
    alone = SHARES[places, 1:] / SHARES[places, :-1]
    np.testing.assert_allclose(odds / alone, np.exp(score[:, None] + [0.3, -0.5]), rtol=1e-5)
    np.testing.assert_allclose(said.sum(axis=1), 1)


def test_cells_read_the_features_of_their_own_side_and_the_canal_the_mean() -> None:
    ours = heads(5)
    judged = judge_by_heads(study(), levels(), ENTRY, ours, MAPS)
    cut = crop_levels(study(), levels(), ENTRY.crops)
    crops = cut.values[:, :, tuple(CropKind).index(CropKind.AXIAL_T2)]
    shown = np.clip(crops / RANGE, -1, 1)
    maps = np.concatenate(
        [shown[:, :, :, None], shown[:, :, :, None] ** 2, np.gradient(shown, axis=4)[:, :, :, None]], 3
    )
    features = pooled(maps.reshape(-1, CHANNELS, 12, 12), GRID).reshape(*crops.shape[:3], -1).mean(axis=2)
    for i, level in enumerate(cut.levels):
        place = np.array([LUMBAR_MRI.levels.index(level)])
        for j, side in enumerate(Side):
            wanted = ours[RECESS].probabilities(features[i, [j]], place)[0]
            assert judged[Cell(RECESS, level, side)].probabilities == pytest.approx(tuple(wanted), abs=1e-5)
        wanted = ours[CANAL].probabilities(features[i].mean(axis=0, keepdims=True), place)[0]
        assert judged[Cell(CANAL, level)].probabilities == pytest.approx(tuple(wanted), abs=1e-5)


def test_mirroring_the_patient_swaps_the_sides() -> None:
    ours, placed = heads(5), levels()
    judged = judge_by_heads(study(), placed, ENTRY, ours, MAPS)
    swapped = {level: one.mirrored() for level, one in placed.items()}
    theirs = judge_by_heads(mirrored(study()), swapped, ENTRY, ours, MAPS)
    for cell, said in judged.items():
        other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT, None: None}[cell.side]
        assert theirs[replace(cell, side=other)].probabilities == pytest.approx(said.probabilities, abs=1e-4)


def test_without_the_series_that_a_head_reads_the_reason_is_told_and_the_share_said() -> None:
    whole = study()
    without = replace(whole, series=tuple(one for one in whole.series if one.role is not Role.AXIAL_T2))
    for cell, said in judge_by_heads(without, levels(), ENTRY, heads(5), MAPS).items():
        assert said.doubt.startswith("there is no Axial T2 series to show the canal")
        assert said.probabilities == pytest.approx(tuple(SHARES[LUMBAR_MRI.levels.index(cell.level)]))


@pytest.mark.parametrize(
    ("entry", "doubt"),
    [
        (replace(ENTRY, noise_below={RECESS.value: 0.0, CANAL.value: 9.0}), "noisier than any"),
        (replace(ENTRY, usual_below={RECESS.value: 0.0, CANAL.value: 1e9}), "unlike those that the heads"),
    ],
)
def test_noisy_and_strange_crops_leave_a_doubt_where_they_are_read(
    entry: FixedHeadsEntry, doubt: str
) -> None:
    for cell, said in judge_by_heads(study(), levels(), entry, heads(), MAPS).items():
        assert (doubt in said.doubt) == (cell.condition is RECESS)


def test_what_all_crops_of_a_study_share_makes_none_strange() -> None:
    rng = np.random.default_rng(0)
    off, present = rng.normal(size=(5, 2, 50)).astype(np.float32), np.ones((5, 2), bool)
    off[3, 1] += 4
    alike = strangeness_of(off + np.float32(7), present)
    np.testing.assert_allclose(alike, strangeness_of(off, present), rtol=1e-4)
    assert np.unravel_index(alike.argmax(), alike.shape) == (3, 1)
    present[3, 1] = False
    assert strangeness_of(off, present)[present].max() < 1.5
    assert not strangeness_of(off, np.zeros((5, 2), bool)).any()


def stored(folder: Path, **changes: np.ndarray) -> FixedHeadsEntry:
    entry = replace(
        ENTRY,
        heads=WeightFile("heads.npz", ""),
        reads={RECESS.value: CropKind.AXIAL_T2},
        usual_below={RECESS.value: 1.0},
        noise_below={RECESS.value: 1.0},
    )
    arrays = {name: getattr(head(2), name) for name in ("usual", "spread", "weights", "shifts", "shares")}
    np.savez(
        folder / "heads.npz", **{f"{RECESS.value}.{name}": one for name, one in {**arrays, **changes}.items()}
    )
    return entry


def test_heads_are_read_as_they_were_written(tmp_path: Path) -> None:
    read = open_fixed_heads(tmp_path, stored(tmp_path), CHANNELS)[RECESS]
    np.testing.assert_array_equal(read.weights, head(2).weights)
    np.testing.assert_array_equal(read.shares, SHARES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.ones(3)}, "must have arrays of shapes"),
        ({"weights": np.full(WIDTH, np.nan)}, "must hold finite numbers"),
        ({"spread": np.zeros(WIDTH)}, "shares and spread above 0"),
        ({"weights": np.array([{}] * WIDTH, dtype=object)}, "allow_pickle=False"),
    ],
)
def test_heads_that_are_none_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(BundleError, match=message):
        open_fixed_heads(tmp_path, stored(tmp_path, **changes), CHANNELS)


def test_heads_for_other_maps_or_that_are_missing_are_refused(tmp_path: Path) -> None:
    entry = stored(tmp_path)
    with pytest.raises(
        BundleError, match="must have 16 weights for Subarticular stenosis, as the maps have 4"
    ):
        open_fixed_heads(tmp_path, entry, 4)
    both = replace(ENTRY, heads=entry.heads)
    with pytest.raises(BundleError, match=r"must hold a head for .*spinal_canal_stenosis"):
        open_fixed_heads(tmp_path, both, CHANNELS)
    (tmp_path / "heads.npz").write_bytes(b"no archive")
    with pytest.raises(BundleError, match=r"heads.npz must hold a head"):
        open_fixed_heads(tmp_path, entry, CHANNELS)


def test_an_entry_names_conditions_and_limits_for_each() -> None:
    with pytest.raises(ValueError, match="reads must name some of"):
        replace(ENTRY, reads={"knee": CropKind.AXIAL_T2})
    with pytest.raises(ValueError, match="both limits"):
        replace(ENTRY, usual_below={})


def test_heads_need_middle_maps_and_a_grader() -> None:
    table = default_bundle().table
    with pytest.raises(ValueError, match="fixed heads need middle_maps, and a grader"):
        BundleTable(
            table.name, table.version, table.scheme, table.locator, fixed=ENTRY, middle_maps=MAPS_ENTRY
        )
    with pytest.raises(ValueError, match="fixed heads need middle_maps, and a grader"):
        replace(table, fixed=ENTRY, middle_maps=None)


def test_features_are_the_mean_over_slices_of_what_is_held_within_the_range() -> None:
    crops = np.random.default_rng(0).normal(0, 3, (1, 2, 3, 8, 8)).astype(np.float32)
    features = crop_features(crops, 1, MAPS)
    assert features.shape == (1, 2, CHANNELS)
    np.testing.assert_allclose(
        features[..., 0], np.clip(crops / RANGE, -1, 1).mean(axis=(2, 3, 4)), atol=1e-6
    )


def test_levels_are_placed_by_name_in_whatever_order_they_come() -> None:
    placed = levels()
    turned = {level: placed[level] for level in reversed(list(placed))}
    one, other = (judge_by_heads(study(), found, ENTRY, heads(5), MAPS) for found in (placed, turned))
    for cell, said in one.items():
        assert other[cell].probabilities == pytest.approx(said.probabilities, abs=1e-6)
    assert {cell.level for cell in one} == {Level.L4_L5, Level.L5_S1}
