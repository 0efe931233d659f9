"""Names of cells and levels are unique and parse back, over all schemes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenograde.terms import SCHEMES, Cell, Condition, Level, Quantity, Side, Unit

any_cell = st.builds(
    Cell, st.sampled_from(Condition), st.sampled_from(Level), st.none() | st.sampled_from(Side)
)
any_case = st.sampled_from([str.lower, str.upper, str.title])


@given(any_cell)
def test_cell_when_named_then_its_name_parses_back(cell: Cell) -> None:
    assert Cell.parse(cell.name) == cell


@given(any_cell, any_cell)
def test_two_cells_when_they_differ_then_so_do_their_names(one: Cell, other: Cell) -> None:
    assert (one.name == other.name) == (one == other)


@given(st.sampled_from(Level), any_case, st.sampled_from(["", " ", "\t"]))
def test_level_when_written_in_any_case_and_with_blanks_then_it_is_read(
    level: Level, case: object, blank: str
) -> None:
    for text in (level.value, level.shown):
        assert Level.parse(blank + case(text) + blank) is level  # type: ignore[operator]


@given(st.sampled_from(Quantity))
def test_quantity_when_stored_then_its_text_reads_back_and_its_unit_is_a_ucum_code(
    quantity: Quantity,
) -> None:
    assert Quantity(str(quantity)) is quantity
    assert Unit(str(quantity.unit)) in {"mm", "mm2", "1"}
    assert json.loads(json.dumps({quantity: quantity.unit})) == {quantity.value: quantity.unit.value}


@given(st.text(max_size=40))
def test_any_text_when_parsed_as_a_cell_then_it_is_a_cell_or_a_value_error(text: str) -> None:
    try:
        cell = Cell.parse(text)
    except ValueError:
        return
    assert cell.name == text.strip().lower().replace("/", "_") or cell.level.shown in text


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_scheme_when_listed_then_cells_are_unique_and_of_its_levels(scheme: object) -> None:
    cells = scheme.cells  # type: ignore[attr-defined]
    assert len({cell.name for cell in cells}) == len(cells)
    assert {cell.level for cell in cells} == set(scheme.levels)  # type: ignore[attr-defined]
