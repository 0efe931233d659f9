"""Discs are found where they were made, named upward from the sacrum, and doubts are said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import peak_local_max
from tests.spine_marks import DISC_HEIGHT_MM, DISC_LENGTH_MM, DISC_ROWS_MM, GRID_MM, Spine

from stenograde.levels.discs import DiscChain, find_discs, peaks_of
from stenograde.levels.marked import MarkedVolume, mid_surface
from stenograde.terms import Structure

TOO_SHORT = "the image ends less than 30 mm below the lowest disc, so the sacrum was not seen"
NAMES = ["L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1"]


def chain_of(spine: Spine) -> DiscChain:
    return find_discs(mid_surface(spine.marked()))


def with_heat_at(spine: Spine, row_mm: float, column_mm: float, heat: float) -> MarkedVolume:
    """Marks with one more peak of heat on all slices."""
    marked = spine.marked()
    rows, columns = np.indices(marked.size[1:]) * GRID_MM
    peak = heat * np.exp(-((rows - row_mm) ** 2 + (columns - column_mm) ** 2) / (2 * 3.5**2))
    heats = marked.heat.copy()
    heats[:, 0] = np.maximum(heats[:, 0], peak)
    return MarkedVolume(marked.affine, marked.probabilities, heats)


def without_disc(marked: MarkedVolume) -> np.ndarray:
    probabilities = marked.probabilities.copy()
    probabilities[:, 0] += probabilities[:, Structure.DISC.code]
    probabilities[:, Structure.DISC.code] = 0
    return probabilities


def test_every_disc_has_its_name_place_and_size():
    spine = Spine()
    chain = chain_of(spine)

    assert [disc.name for disc in chain.discs] == NAMES
    assert chain.certain
    for disc in chain.discs:
        np.testing.assert_allclose(np.array(disc.centre) * GRID_MM, spine.disc_middle(disc.name), atol=0.5)
        np.testing.assert_allclose(np.array(disc.margin) * GRID_MM, spine.disc_margin(disc.name), atol=2.0)
        assert np.dot(disc.axis, spine.disc_axis(disc.name)) > np.cos(np.deg2rad(2)), "tilted as it was made"
        assert disc.height_mm == pytest.approx(DISC_HEIGHT_MM, abs=0.5)
        assert disc.length_mm == pytest.approx(DISC_LENGTH_MM, abs=2.0)
        assert disc.sacral_heat > 0.8 or disc.name != "L5/S1"
        assert not disc.guessed


def test_a_disc_without_heat_is_found_again_by_its_outline():
    spine = Spine(heat={"L3/L4": 0.0})
    chain = chain_of(spine)
    disc = chain.discs[2]

    assert [disc.name for disc in chain.discs] == NAMES
    assert not disc.guessed
    assert chain.certain
    np.testing.assert_allclose(np.array(disc.centre) * GRID_MM, spine.disc_middle("L3/L4"), atol=0.5)


def test_a_disc_with_neither_heat_nor_outline_is_guessed_and_said():
    spine = Spine(heat={"L3/L4": 0.0}, unmarked=("L3/L4",))
    chain = chain_of(spine)
    disc = chain.discs[2]

    assert [disc.name for disc in chain.discs] == NAMES
    assert [one.name for one in chain.discs if one.guessed] == ["L3/L4"]
    assert chain.doubts == ("L3/L4 was not seen and is placed between its neighbours",)
    assert not chain.certain
    away = np.linalg.norm(np.array(disc.centre) * GRID_MM - spine.disc_middle("L3/L4"))
    assert away < 6.0
    assert np.isnan(disc.height_mm)
    assert np.isnan(disc.length_mm)


def test_two_neighbours_that_are_not_seen_are_both_placed():
    absent = ("L3/L4", "L2/L3")
    spine = Spine(heat=dict.fromkeys(absent, 0.0), unmarked=absent)
    chain = chain_of(spine)

    assert [disc.name for disc in chain.discs] == NAMES
    assert {disc.name for disc in chain.discs if disc.guessed} == set(absent)


@pytest.mark.parametrize("heat", [0.5, 0.89])
def test_a_second_peak_on_the_same_disc_is_no_second_disc(heat):
    spine = Spine()
    row, column = spine.disc_middle("L3/L4") + np.array([1.0, -10.0])
    chain = find_discs(mid_surface(with_heat_at(spine, row, column, heat)))

    assert [disc.name for disc in chain.discs] == NAMES
    assert chain.certain


def test_of_two_peaks_too_near_each_other_the_hotter_stays():
    spine = Spine(heat={"L3/L4": 0.5})
    row, column = spine.disc_middle("L3/L4")
    marked = with_heat_at(spine, row - 9, column - 9, 0.85)
    unmarked = MarkedVolume(marked.affine, without_disc(marked), marked.heat)
    chain = find_discs(mid_surface(unmarked))

    assert [disc.name for disc in chain.discs] == NAMES
    np.testing.assert_allclose(np.array(chain.discs[2].centre) * GRID_MM, (row - 9, column - 9), atol=1.5)


def test_a_peak_on_a_single_pixel_of_disc_still_makes_a_disc():
    spine = Spine()
    marked = spine.marked()
    probabilities = without_disc(marked)
    for name in DISC_ROWS_MM:
        row, column = np.rint(spine.disc_middle(name) / GRID_MM).astype(int)
        probabilities[:, :, row, column] = 0
        probabilities[:, Structure.DISC.code, row, column] = 1
    chain = find_discs(mid_surface(MarkedVolume(marked.affine, probabilities, marked.heat)))

    assert [disc.name for disc in chain.discs] == NAMES
    assert all(np.isnan(disc.height_mm) for disc in chain.discs)


def test_without_any_peak_there_is_no_chain():
    chain = chain_of(Spine(heat=dict.fromkeys(DISC_ROWS_MM, 0.0)))

    assert chain.discs == ()
    assert chain.doubts == ("no disc was found",)


def test_when_the_sacrum_is_not_recognised_the_lowest_disc_counts_and_it_is_said():
    chain = chain_of(Spine(sacral={}))

    assert [disc.name for disc in chain.discs] == NAMES
    assert chain.doubts == ("the sacrum was not recognised; the lowest disc is taken for L5/S1",)
    assert not chain.certain


def test_two_lumbosacral_candidates_are_said():
    chain = chain_of(Spine(sacral={"L5/S1": 0.9, "L4/L5": 0.7}))

    assert [disc.name for disc in chain.discs] == NAMES
    assert chain.doubts == ("two discs look like the lumbosacral one; a transitional vertebra is possible",)


def test_a_faint_second_candidate_is_no_doubt():
    assert chain_of(Spine(sacral={"L5/S1": 0.9, "L4/L5": 0.3})).certain


def test_an_image_that_ends_at_the_lowest_disc_is_said():
    chain = chain_of(Spine(cut_below_mm=212.0))

    assert chain.discs[0].name == "L5/S1"
    assert chain.doubts == (TOO_SHORT,)


def test_an_image_that_ends_above_the_sacrum_has_uncertain_names():
    chain = chain_of(Spine(cut_below_mm=175.0))

    assert "the sacrum was not recognised; the lowest disc is taken for L5/S1" in chain.doubts
    assert TOO_SHORT in chain.doubts


def test_a_full_disc_below_the_lumbosacral_one_may_be_a_lumbarised_sacrum():
    chain = chain_of(Spine(sacral={"L4/L5": 0.9}, sacrum_below="L4/L5"))

    assert [disc.name for disc in chain.discs] == NAMES[:5]
    assert chain.discs[0].centre[0] * GRID_MM == pytest.approx(Spine().disc_middle("L4/L5")[0], abs=0.5), (
        "names begin at the lumbosacral disc"
    )
    assert chain.doubts == ("a well-formed disc lies below L5/S1; S1 may be lumbarised",)


def test_a_short_lowest_disc_may_be_a_sacralised_vertebra():
    chain = chain_of(Spine(lengths={"L5/S1": 16.0}))

    assert chain.doubts == ("the lowest disc is much smaller than those above; L5 may be sacralised",)


def test_a_small_lowest_disc_may_be_a_sacralised_vertebra_too():
    """Neither so short nor so low that one of them alone would tell."""
    chain = chain_of(Spine(lengths={"L5/S1": 22.0}, heights={"L5/S1": 5.5}))

    assert chain.doubts == ("the lowest disc is much smaller than those above; L5 may be sacralised",)


@pytest.mark.parametrize("changed", [{"lengths": {"L5/S1": 24.0}}, {"heights": {"L5/S1": 5.0}}])
def test_a_lowest_disc_that_is_only_short_or_only_low_is_no_doubt(changed):
    assert chain_of(Spine(**changed)).certain


def test_two_peaks_beside_each_other_on_one_disc_are_one():
    spine = Spine()
    row, column = spine.disc_middle("L2/L3") + spine.disc_axis("L2/L3") * 15.0
    chain = find_discs(mid_surface(with_heat_at(spine, row, column, 0.6)))

    assert [disc.name for disc in chain.discs] == NAMES
    assert chain.certain


def test_a_peak_inside_a_body_without_an_outline_is_left_out():
    spine = Spine()
    row = (spine.disc_middle("L3/L4")[0] + spine.disc_middle("L2/L3")[0]) / 2
    chain = find_discs(mid_surface(with_heat_at(spine, row, spine.disc_middle("L3/L4")[1], 0.45)))

    assert [disc.name for disc in chain.discs] == NAMES
    assert chain.certain
    np.testing.assert_allclose(
        np.array(chain.discs[3].centre) * GRID_MM, spine.disc_middle("L2/L3"), atol=0.5
    )


def test_a_disc_that_does_not_look_like_one_is_said():
    chain = chain_of(Spine(lengths={"L3/L4": 12.0}))

    assert [disc.name for disc in chain.discs] == NAMES
    assert chain.doubts == ("L3/L4 does not look like a disc, so the count may be wrong",)


@pytest.mark.parametrize(
    ("scale", "doubt"), [(0.45, "lie closer together"), (1.5, "are larger than lumbar ones")]
)
def test_discs_of_other_sizes_than_lumbar_ones_are_said(scale, doubt):
    marked = Spine().marked()
    marked = MarkedVolume(
        marked.affine @ np.diag([scale, scale, scale, 1]), marked.probabilities, marked.heat
    )

    assert any(doubt in one for one in find_discs(mid_surface(marked)).doubts)


@pytest.mark.parametrize("apart", [1, 3, 11])
@pytest.mark.parametrize("seed", range(5))
def test_peaks_are_those_that_scikit_image_finds(seed, apart):
    noise = np.random.default_rng(seed).uniform(0, 1, (60, 45))
    heat = ndimage.gaussian_filter(noise, 1.5).astype(np.float32)

    found = peaks_of(heat, apart, above=0.5)

    theirs = peak_local_max(heat, min_distance=apart, threshold_abs=0.5, exclude_border=False)
    assert found == [tuple(place) for place in theirs.tolist()]
    assert found


def test_a_plateau_is_one_peak_and_a_picture_of_one_value_has_none():
    heat = np.zeros((20, 20), np.float32)
    heat[5:8, 5:8] = 1.0

    assert peaks_of(heat, 4, above=0.25) == [(5, 5)]
    assert peaks_of(np.ones((9, 9), np.float32), 2, above=0.25) == []
