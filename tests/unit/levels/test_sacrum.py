"""Names are certain only where the sacrum was seen below the lowest disc: enough picture, no body, several slices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.spine_marks import DISC_ROWS_MM, GRID_MM, Spine

from stenograde.levels.discs import DiscChain, find_discs
from stenograde.levels.marked import MarkedVolume, mid_surface
from stenograde.terms import Structure

TOO_SHORT = "the image ends less than 30 mm below the lowest disc, so the sacrum was not seen"


def chain_of(marked: MarkedVolume) -> DiscChain:
    return find_discs(mid_surface(marked))


def with_body_below(spine: Spine, slices: range) -> MarkedVolume:
    """Marks in which the bone below the lumbosacral disc is a lumbar body on some slices."""
    marked = spine.marked()
    row, column = (spine.disc_middle("L5/S1") / GRID_MM).astype(int)
    probabilities = marked.probabilities.copy()
    below = (slice(row + 10, row + 50), slice(column - 20, column + 20))
    for k in slices:
        probabilities[k][:, *below] = 0
        probabilities[k][Structure.VERTEBRA.code][below] = 1
    return MarkedVolume(marked.affine, probabilities, marked.heat)


def test_a_full_field_shows_the_sacrum():
    chain = chain_of(Spine().marked())

    assert chain.certain
    assert chain.sacrum_seen


@pytest.mark.parametrize("cut_below_mm", [212.0, 218.0])
def test_less_than_thirty_millimetres_below_the_disc_are_no_sacrum(cut_below_mm):
    chain = chain_of(Spine(cut_below_mm=cut_below_mm).marked())

    assert TOO_SHORT in chain.doubts
    assert not chain.sacrum_seen


def test_a_body_cut_by_the_edge_is_no_sacrum():
    """The locator takes L4/L5 for the lumbosacral disc, as it does when the field ends in the body of L5."""
    spine = Spine(sacral={"L4/L5": 0.9}, cut_below_mm=200.0)
    chain = chain_of(spine.marked())

    assert (spine.cut_below_mm - spine.disc_middle("L4/L5")[0]) > 30
    assert chain.doubts[0] == "a sacrum was seen below the lowest disc on 0 of 5 slices only"
    assert not chain.sacrum_seen


def test_padding_below_the_disc_is_no_sacrum():
    marked = Spine().marked()
    shown = np.ones(marked.probabilities[:, 0].shape, bool)
    shown[:, round((DISC_ROWS_MM["L5/S1"] + 12) / GRID_MM) :] = False
    chain = chain_of(replace(marked, shown=shown))

    assert chain.doubts == (TOO_SHORT,)


@pytest.mark.parametrize(("slices", "n_seen"), [(range(4, 8), 1), (range(5, 11), 2)])
def test_the_sacrum_must_be_seen_on_most_slices_around_the_midline(slices, n_seen):
    chain = chain_of(with_body_below(Spine(), slices))

    assert chain.doubts == (f"a sacrum was seen below the lowest disc on {n_seen} of 5 slices only",)


def test_one_slice_that_does_not_show_it_is_no_doubt():
    assert chain_of(with_body_below(Spine(), range(7, 8))).certain


def test_a_single_picture_needs_a_single_slice():
    marked = Spine(n_slices=1).marked()

    assert chain_of(marked).certain


def test_a_level_disc_is_not_the_lumbosacral_one():
    spine = Spine(sacral={"L2/L3": 0.9}, sacrum_below="L2/L3")
    chain = chain_of(spine.marked())

    assert "the lowest disc lies level, as those above the sacrum do, so it may not be L5/S1" in chain.doubts
