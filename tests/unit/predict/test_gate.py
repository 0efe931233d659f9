"""What passes the gate before grading: the header's word and the picture's evidence, alone and at odds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.plain_volumes import series_of, study_of
from tests.spine_marks import Spine
from tests.spine_pictures import plain_bundle, volume_with

from stenograde.errors import StudyError
from stenograde.predict.grade import grade_study
from stenograde.predict.locate import LocatedStudy, locate_study
from stenograde.study import Study, Volume
from stenograde.terms import BodyPart, Role

BUNDLE = plain_bundle()
FULL = volume_with(Spine())
CUT = volume_with(Spine(cut_below_mm=212.0))

LUMBAR, NECK, CHEST, WHOLE, HEAD, PELVIS = (
    BodyPart.LUMBAR_SPINE,
    BodyPart.CERVICAL_SPINE,
    BodyPart.THORACIC_SPINE,
    BodyPart.WHOLE_SPINE,
    BodyPart.HEAD,
    BodyPart.PELVIS,
)


def study_with(volume: Volume, own: tuple[BodyPart, ...] = (), whole: tuple[BodyPart, ...] = ()) -> Study:
    return replace(study_of(replace(series_of(volume), body_parts=own)), body_parts=whole)


def located(volume: Volume, own: tuple[BodyPart, ...] = (), whole: tuple[BodyPart, ...] = ()) -> LocatedStudy:
    return locate_study(study_with(volume, own, whole), BUNDLE)


@pytest.mark.parametrize(
    ("own", "whole"),
    [
        ((), ()),
        ((LUMBAR,), ()),
        ((), (LUMBAR,)),
        ((LUMBAR, CHEST), ()),
        ((LUMBAR,), (NECK, LUMBAR)),
        ((PELVIS,), (LUMBAR,)),
        ((), (NECK, LUMBAR)),
    ],
)
def test_a_lumbar_picture_passes_where_the_header_does_not_speak_against_it(own, whole):
    found = located(FULL, own, whole)

    assert found.doubts == ()
    assert all(position.certain for position in found.points.positions())


@pytest.mark.parametrize(
    ("own", "whole", "said"),
    [
        (
            (NECK,),
            (),
            "at odds: the header names the cervical spine, the picture shows a sacrum below 6 discs",
        ),
        ((), (HEAD,), "at odds: the header names the head"),
        ((NECK,), (LUMBAR,), "at odds: the header names the cervical spine"),
        ((CHEST,), (), "at odds: the header names the thoracic spine"),
        ((LUMBAR,), (NECK,), "the header names the cervical spine beside the lumbar spine"),
        ((LUMBAR, HEAD), (), "the header names the head beside the lumbar spine"),
        ((WHOLE,), (), "the header names the whole spine"),
    ],
)
def test_header_and_picture_at_odds_are_said_first_and_no_name_is_certain(own, whole, said):
    grades = grade_study(study_with(FULL, own, whole), BUNDLE)

    assert grades.warnings[0].startswith("level names are uncertain: ")
    assert said in grades.warnings[0]
    assert not any(level.certain for level in grades.levels)


@pytest.mark.parametrize("own", [(NECK,), (HEAD,), (CHEST,), (PELVIS,)])
def test_another_part_by_the_header_and_no_sacrum_in_the_picture_is_refused(own):
    with pytest.raises(
        StudyError, match=rf"must be of the lumbar spine, got the {own[0].value} by its header"
    ):
        located(CUT, own)


def test_a_header_that_names_the_lumbar_spine_does_not_make_the_sacrum_seen():
    found = located(CUT, (LUMBAR,))

    assert not any(position.certain for position in found.points.positions())


@pytest.mark.parametrize("own", [(), (LUMBAR,), (NECK,)])
def test_sizes_of_a_neck_are_refused_whatever_the_header_names(own):
    small = replace(FULL, affine=FULL.affine @ np.diag([0.5, 0.5, 0.5, 1]))

    with pytest.raises(StudyError, match="must show the lumbar"):
        locate_study(study_with(small, own), plain_bundle(grid_mm=0.3))


def test_a_refusal_says_what_was_seen_and_what_the_header_names():
    small = replace(FULL, affine=FULL.affine @ np.diag([0.5, 0.5, 0.5, 1]))

    with pytest.raises(
        StudyError, match=r"16 mm deep and 19 mm apart, as in the neck .*names the cervical spine"
    ):
        locate_study(study_with(small, (NECK,)), plain_bundle(grid_mm=0.3))


def test_stacks_that_were_not_joined_leave_every_name_uncertain():
    study = study_of(series_of(FULL, volume_with(Spine(n_slices=5), FULL.affine)))
    found = locate_study(study, BUNDLE)

    assert "holds 2 stacks that were not joined" in found.doubts[0]
    assert not found.points.chain.certain


def beside(volume: Volume, *, role: Role | None) -> Study:
    """A study of a full T2 with one more sagittal series."""
    second = series_of(volume, role=Role.SAGITTAL_T1, uid="2.25.71")
    return study_of(series_of(FULL), replace(second, role=role))


@pytest.mark.parametrize("role", [Role.SAGITTAL_T1, None])
def test_a_second_series_that_agrees_is_no_doubt(role):
    assert locate_study(beside(volume_with(Spine(), FULL.affine), role=role), BUNDLE).doubts == ()


@pytest.mark.parametrize("role", [Role.SAGITTAL_T1, None])
def test_a_second_series_that_reaches_the_sacrum_must_show_it_below_the_same_disc(role):
    other = Spine(unmarked=("L5/S1",), sacrum_below="L4/L5")
    found = locate_study(beside(volume_with(other, FULL.affine), role=role), BUNDLE)

    assert any("2.25.71" in doubt and "sacrum" in doubt for doubt in found.doubts)
    assert not found.points.chain.certain


def test_a_second_series_that_ends_above_the_sacrum_says_nothing():
    short = Spine(cut_below_mm=190.0)
    pictures = volume_with(short, FULL.affine)
    found = locate_study(beside(pictures, role=Role.SAGITTAL_T1), BUNDLE)

    assert found.doubts == ()
