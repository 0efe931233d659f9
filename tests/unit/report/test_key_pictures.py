"""Key pictures show the spine, then each level; each names the frames that it shows, and none a draft."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.golden.report.example import T1_UID, example_grades, example_study

from stenograde.grades import CellGrade, Probabilities, Status, StudyGrades
from stenograde.report.key_pictures import KeyPicture, key_pictures
from stenograde.report.level_cards import level_cards
from stenograde.report.pictures import Drawn, Picture, SourceFrame
from stenograde.report.rasters import raster_of
from stenograde.report.spine import spine_of
from stenograde.study import Study
from stenograde.terms import Condition, Level


@pytest.fixture(scope="module")
def sheets() -> tuple[KeyPicture, ...]:
    return key_pictures(example_grades(), example_study())


def with_foramina(status: Status) -> StudyGrades:
    grades = example_grades()
    place = {one.level: one.point for one in grades.levels}
    cells = [
        CellGrade(
            one.cell, status, "as the test wants", Probabilities((0.1, 0.2, 0.7)), place[one.cell.level]
        )
        if one.cell.condition is Condition.NEURAL_FORAMINAL_NARROWING and one.cell.level is Level.L4_L5
        else one
        for one in grades.cells
    ]
    return replace(grades, cells=tuple(cells))


def sheet_of(grades: StudyGrades, title: str) -> KeyPicture:
    return next(one for one in key_pictures(grades, example_study()) if one.title == title)


def test_the_spine_comes_first_then_levels_as_on_the_page(sheets):
    cards = level_cards(example_grades(), example_study())

    assert sheets[0].title.startswith("Lumbar spine, Sagittal T2/STIR")
    assert [one.title for one in sheets[1:]] == [card.level.shown for card in cards if card.pictures]


def test_each_names_the_frames_that_it_shows(sheets):
    study = example_study()
    known = {
        SourceFrame(series.uid, uid, frame)
        for series, volume in study.volumes()
        for uid, frame in zip(volume.sop_instance_uids, volume.frames, strict=True)
    }
    middle = example_grades().mid_sagittal.slice

    assert sheets[0].sources == (SourceFrame(middle.series_uid, middle.sop_instance_uid, middle.frame),)
    for one in sheets:
        assert one.sources
        assert set(one.sources) <= known


def test_pixels_are_colours_and_the_same_each_time(sheets):
    again = key_pictures(example_grades(), example_study())

    for one, other in zip(sheets, again, strict=True):
        assert one.pixels.dtype == np.uint8
        assert one.pixels.shape[2] == 3
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_foramen_is_shown_when_graded_and_not_when_a_draft():
    plain, graded, draft = (
        sheet_of(grades, "L4/L5")
        for grades in (example_grades(), with_foramina(Status.GRADED), with_foramina(Status.DRAFT))
    )

    assert T1_UID in {one.series_uid for one in graded.sources}
    assert graded.pixels.shape[0] > plain.pixels.shape[0]
    np.testing.assert_array_equal(draft.pixels, plain.pixels)
    assert draft.sources == plain.sources


def test_what_is_in_doubt_is_said_on_the_sheets(sheets):
    grades = example_grades()
    doubtful = replace(grades, levels=tuple(replace(one, certain=False) for one in grades.levels))

    told = key_pictures(doubtful, example_study())

    assert all(a.pixels.shape[0] > b.pixels.shape[0] for a, b in zip(told, sheets, strict=True))


def test_a_study_that_shows_nothing_has_no_sheets():
    assert key_pictures(example_grades(), Study("2.25.100", ())) == ()


def test_a_raster_has_the_scale_that_is_asked_for():
    picture = spine_of(example_grades(), example_study()).picture

    image = raster_of(picture, 4.0, 4.2)

    assert image.size == pytest.approx((picture.width_mm * 4, picture.height_mm * 4), abs=1)


@pytest.mark.parametrize("kind", ["vertebra", "disc", "canal", "measure", "measured-area", "guide"])
def test_lines_are_drawn_in_their_colour_where_they_are(kind):
    black = spine_of(example_grades(), example_study()).picture.href
    line = Drawn(kind, ((20.0, 20.0), (40.0, 20.0), (40.0, 40.0)))
    empty = Picture(black, 60.0, 60.0, dict.fromkeys(("left", "right", "top", "bottom"), ""), 20, "", "")
    without, drawn = (
        np.asarray(raster_of(one, 5.0, 3.0), int) for one in (empty, replace(empty, drawn=(line,)))
    )

    changed = np.argwhere(np.abs(drawn - without).max(axis=-1) > 20)
    assert len(changed)
    assert changed.min() >= 5 * 19.0
    assert changed.max() <= 5 * 41.0
