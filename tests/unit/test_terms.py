"""The field's words: orders that other files and other people's tables rely on."""

from __future__ import annotations

import pytest

from stenograde.terms import (
    CERVICAL_XRAY,
    LUMBAR_MRI,
    SCHEMES,
    Cell,
    Condition,
    Level,
    Quantity,
    Region,
    Role,
    Severity,
    Side,
    Structure,
)


def test_lumbar_cells_when_named_then_they_are_the_columns_of_rsna_2024_in_order() -> None:
    names = [cell.name for cell in LUMBAR_MRI.cells]
    levels = ["l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1"]
    assert names == [
        *(f"spinal_canal_stenosis_{level}" for level in levels),
        *(f"left_neural_foraminal_narrowing_{level}" for level in levels),
        *(f"right_neural_foraminal_narrowing_{level}" for level in levels),
        *(f"left_subarticular_stenosis_{level}" for level in levels),
        *(f"right_subarticular_stenosis_{level}" for level in levels),
    ]


def test_cervical_cells_when_counted_then_each_foramen_from_c2_to_t1_is_there_once() -> None:
    assert len(set(CERVICAL_XRAY.cells)) == len(CERVICAL_XRAY.cells) == 12
    assert CERVICAL_XRAY.levels[0] is Level.C2_C3
    assert CERVICAL_XRAY.levels[-1] is Level.C7_T1


def test_schemes_when_asked_by_name_then_they_know_their_region() -> None:
    regions = {name: scheme.region for name, scheme in SCHEMES.items()}
    assert regions == {"lumbar_mri": Region.LUMBAR, "cervical_xray": Region.CERVICAL}


def test_cells_of_a_condition_when_asked_then_the_schemes_order_is_kept() -> None:
    canal = LUMBAR_MRI.of(Condition.SPINAL_CANAL_STENOSIS)
    assert [cell.level for cell in canal] == list(LUMBAR_MRI.levels)
    assert {cell.side for cell in canal} == {None}
    assert len(LUMBAR_MRI.of(Condition.SUBARTICULAR_STENOSIS)) == 10


def test_severities_when_ranked_then_they_ascend() -> None:
    assert [severity.rank for severity in Severity] == [0, 1, 2]
    assert [severity.shown for severity in Severity] == ["Normal/Mild", "Moderate", "Severe"]


def test_enum_member_when_used_as_a_key_then_its_stored_text_finds_it() -> None:
    assert {Side.LEFT: 1}["left"] == 1  # type: ignore[index]


def test_roles_when_shown_then_they_read_as_in_rsna_2024() -> None:
    assert [role.shown for role in Role] == ["Sagittal T1", "Sagittal T2/STIR", "Axial T2"]


def test_conditions_when_marked_then_it_is_in_the_series_that_rsna_2024_says() -> None:
    assert {condition.value: condition.marked_in.value for condition in Condition} == {
        "spinal_canal_stenosis": "sagittal_t2_stir",
        "neural_foraminal_narrowing": "sagittal_t1",
        "subarticular_stenosis": "axial_t2",
    }


def test_structures_when_coded_then_zero_is_left_to_the_background() -> None:
    assert {structure.value: structure.code for structure in Structure} == {
        "vertebra": 1,
        "disc": 2,
        "canal": 3,
    }


def test_quantities_when_shown_then_they_read_as_people_write_them() -> None:
    assert {quantity.shown: quantity.unit.shown for quantity in Quantity} == {
        "Canal AP diameter": "mm",
        "Canal AP diameter above": "mm",
        "Canal AP diameter below": "mm",
        "Canal AP ratio": "",
        "CSF signal ratio": "",
        "Disc height": "mm",
        "Dural sac area": "mm²",
        "Foraminal area": "mm²",
        "Foraminal fat area": "mm²",
        "Recess height": "mm",
    }


@pytest.mark.parametrize("text", ["", "L5", "L6/S1", "l4-l5", "L4/L5/S1"])
def test_level_when_text_names_none_then_the_choices_are_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"^level must be one of C2/C3, .*L5/S1, got "):
        Level.parse(text)


@pytest.mark.parametrize(
    "name", ["", "canal_l4_l5", "front_subarticular_stenosis_l4_l5", "spinal_canal_stenosis"]
)
def test_cell_when_its_name_is_none_of_ours_then_the_form_is_said(name: str) -> None:
    with pytest.raises(ValueError, match=r"^cell must be named \[side_\]condition_level, got "):
        Cell.parse(name)


def test_cell_when_its_level_is_unknown_then_the_levels_are_said() -> None:
    with pytest.raises(ValueError, match=r"^level must be one of .*, got 'l6_s1'$"):
        Cell.parse("spinal_canal_stenosis_l6_s1")
