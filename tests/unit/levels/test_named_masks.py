"""Each marked voxel belongs to one named vertebra or disc, to the canal, or to what has no name."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tests.spine_marks import DISC_ROWS_MM, Spine

from stenograde import geometry
from stenograde.levels.named_masks import NamedMasks, NamedStructure, named_masks
from stenograde.levels.points import LevelPoints, find_levels
from stenograde.terms import Structure

SPINES = {
    "straight": Spine(),
    "scoliotic": Spine(scoliosis_mm=8.0),
    "cut": Spine(cut_above_mm=70.0, cut_below_mm=215.0),
}


def points_of(spine: Spine) -> LevelPoints:
    points = find_levels(spine.marked())
    assert points is not None
    return points


def masks_of(spine: Spine) -> np.ndarray:
    return spine.marked().probabilities.argmax(axis=1).astype(np.uint8)


def voxels(named: NamedMasks, structure: Structure, name: str) -> np.ndarray:
    return named.numbers == named.structures.index(NamedStructure(structure, name)) + 1


@pytest.mark.parametrize("kind", SPINES)
def test_no_voxel_is_lost_none_is_added_and_none_changes_its_kind(kind):
    spine = SPINES[kind]
    masks = masks_of(spine)

    named = named_masks(masks, spine.affine(), points_of(spine))

    codes = np.array([0, *(one.structure.code for one in named.structures)])
    np.testing.assert_array_equal(codes[named.numbers], masks)
    assert len(set(named.structures)) == len(named.structures)


@pytest.mark.parametrize("kind", SPINES)
def test_each_disc_is_one_piece_that_holds_its_true_middle(kind):
    spine = SPINES[kind]
    masks = masks_of(spine)
    named = named_masks(masks, spine.affine(), points_of(spine))
    pieces, _ = ndimage.label(masks == Structure.DISC.code)
    seen = [
        name for name, row in DISC_ROWS_MM.items() if spine.cut_above_mm + 20 < row < spine.cut_below_mm - 10
    ]
    assert len(seen) >= 3

    for name in seen:
        middle = spine.to_patient(spine.disc_middle(name), spine.affine())
        place = tuple(np.rint(geometry.to_index(spine.affine(), middle)[0]).astype(int))
        np.testing.assert_array_equal(
            voxels(named, Structure.DISC, name), pieces == pieces[place], err_msg=name
        )


def test_a_vertebra_lies_between_its_discs():
    spine = SPINES["straight"]
    named = named_masks(masks_of(spine), spine.affine(), points_of(spine))

    for above, below, name in (("L1/L2", "L2/L3", "L2"), ("L3/L4", "L4/L5", "L4"), ("L4/L5", "L5/S1", "L5")):
        rows = np.argwhere(voxels(named, Structure.VERTEBRA, name))[:, 1]
        discs = [np.argwhere(voxels(named, Structure.DISC, one))[:, 1].mean() for one in (above, below)]
        assert discs[0] < np.median(rows) < discs[1]


def test_a_piece_that_touches_no_named_one_has_no_name():
    spine = SPINES["straight"]
    masks = masks_of(spine)
    masks[0, 100:103, 2:5] = Structure.VERTEBRA.code
    masks[0, 10:12, 2:5] = Structure.DISC.code

    named = named_masks(masks, spine.affine(), points_of(spine))

    lost = voxels(named, Structure.VERTEBRA, "")
    assert lost[0, 100:103, 2:5].all()
    assert voxels(named, Structure.DISC, "")[0, 10:12, 2:5].all()


def test_what_is_marked_below_the_lumbosacral_disc_is_the_sacrum():
    spine = SPINES["straight"]
    masks = masks_of(spine)
    discs = points_of(spine).chain.discs
    step = np.array(discs[0].centre) - np.array(discs[1].centre)
    row, column = np.rint(np.array(discs[0].centre) + step / 2).astype(int)
    masks[5, row - 4 : row + 4, column - 4 : column + 4] = Structure.VERTEBRA.code

    named = named_masks(masks, spine.affine(), points_of(spine))

    assert voxels(named, Structure.VERTEBRA, "S1")[5, row, column]


def test_nothing_marked_is_nothing_named():
    spine = SPINES["straight"]
    masks = np.zeros_like(masks_of(spine))

    named = named_masks(masks, spine.affine(), points_of(spine))

    assert named.structures == ()
    assert not named.numbers.any()
