"""The report is one page that asks nothing of the network, hides nothing and runs no text as markup."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Sequence
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.golden.report.example import AXIAL_UID, T1_UID, example_grades, example_study

from stenograde.errors import UnreadableInstanceError
from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.grades import (
    CellGrade,
    LevelPosition,
    Measurement,
    Probabilities,
    SeriesUse,
    Status,
    StudyGrades,
)
from stenograde.report.as_html import as_html
from stenograde.study import Examination, Series, Study
from stenograde.terms import LUMBAR_MRI, Condition, Level, Quantity, Severity, Side, Unused


class Page(HTMLParser):
    """Elements with their attributes, headings, table heads and words of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._within: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._within.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self._within and self._within[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def html() -> str:
    return as_html(example_grades(), example_study())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def page_of(grades: StudyGrades, study: Study | None = None) -> Page:
    return Page(as_html(grades, study or example_study()))


def without(study: Study, uid: str) -> Study:
    return dataclasses.replace(study, series=tuple(series for series in study.series if series.uid != uid))


def not_imaged(grades: StudyGrades, level: Level) -> StudyGrades:
    levels = tuple(
        LevelPosition(level, None, imaged=False, certain=True) if position.level is level else position
        for position in grades.levels
    )
    cells = tuple(
        CellGrade(grade.cell, Status.NOT_IMAGED, "outside the imaged field")
        if grade.cell.level is level
        else grade
        for grade in grades.cells
    )
    measured = tuple(item for item in grades.measurements if item.level is not level)
    return dataclasses.replace(grades, levels=levels, cells=cells, measurements=measured)


def test_page_asks_nothing_of_the_network_and_runs_its_own_script_alone(html: str, page: Page) -> None:
    addresses = [
        value or ""
        for _, attrs in page.elements
        for name, value in attrs.items()
        if name in ("href", "src", "srcset", "action", "data", "poster")
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert not re.search(r"url\(|@import|<script|javascript:|\son\w+=", html.replace(f"<script>{script}", ""))
    assert not re.search(r"fetch|XMLHttp|import\(|eval|innerHTML", script)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_page_is_small_enough_to_send(html: str) -> None:
    assert len(html) < 2_000_000


def test_page_says_what_was_found_first_and_what_it_is_for(page: Page) -> None:
    assert "Severe canal stenosis at L4/L5; normal/mild or moderate at L3/L4." in page.words
    assert "Levels counted upward from the sacrum, taking five lumbar vertebrae for granted." in page.words
    assert page.words.index("not a medical device") < page.words.index("Severe canal stenosis")


def test_page_has_a_language_a_title_and_headings_in_order(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert all(attrs.get("scope") in ("row", "col", "rowgroup") for attrs in page.all("th"))


def test_page_describes_every_picture_and_labels_resolve(page: Page) -> None:
    drawings = page.all("svg")
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") == "true" for attrs in drawings)
    assert sum(attrs.get("role") == "img" for attrs in drawings) == 11
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs} <= set(ids)


def test_page_gives_each_probability_as_text(page: Page) -> None:
    assert "30 % 52 % 18 %" in page.words
    assert ">99 % <1 % <1 %" in page.words


def test_page_gives_the_reason_of_twenty_cells_once(page: Page) -> None:
    assert page.words.count("The bundle grades the spinal canal only.") == 1
    assert page.words.count("not graded") >= 4


def test_page_when_a_reference_is_given_then_it_stands_beside_every_cell_and_what_differs_is_marked() -> None:
    graded = [grade for grade in example_grades().cells if grade.severity]
    known = dict.fromkeys(LUMBAR_MRI.cells, Severity.NORMAL_MILD)
    known[graded[0].cell] = Severity.SEVERE
    # what is between two severities cannot differ
    sure = [grade for grade in graded if len(grade.probabilities.said) == 1]
    differing = sum(grade.severity is not known[grade.cell] for grade in sure)
    html = as_html(example_grades(), example_study(), reference=known)
    page = Page(html)
    n_differs = sum(attrs.get("class") == "differs" for attrs in page.all("span"))
    # each of the canal's cells is in the table and on its card
    assert n_differs == 2 * differing > 0
    assert page.words.count(" ref. ") == 25 + 5  # in the tables and on the cards
    same = len(sure) - differing
    assert f"{same} of {len(sure)} graded cells are as the reference says" in page.words
    assert "1 more are uncertain or between two severities" in page.words
    level = graded[0].cell.level.shown
    assert f"{level} canal stenosis ({graded[0].severity.shown}, reference Severe)" in page.words
    assert "eference" not in page_of(example_grades()).words.replace("Reference data", "")


def test_page_says_what_was_left_out_and_why(page: Page) -> None:
    assert "Not a DICOM file: README.txt" in page.words
    assert "No Manufacturer in any instance." in page.words


def test_page_when_texts_hold_markup_then_they_are_shown_not_run() -> None:
    evil = "<script>alert(1)</script>"
    grades = dataclasses.replace(
        example_grades(),
        study_uid=evil,
        warnings=(evil,),
        unused=(Unused(f'"{evil}', evil),),
        series=(SeriesUse(evil, None, evil),),
        cells=(CellGrade(LUMBAR_MRI.cells[0], Status.ABSTAINED, evil), *example_grades().cells[1:]),
    )
    page = page_of(grades)
    assert len(page.all("script")) == 1
    assert page.words.count(evil) >= 7


def test_page_when_level_names_are_in_doubt_then_it_says_so_at_the_top_and_at_each_level() -> None:
    grades = example_grades()
    levels = tuple(dataclasses.replace(position, certain=False) for position in grades.levels)
    words = page_of(dataclasses.replace(grades, levels=levels)).words
    assert "counted upward from the sacrum" not in words
    assert words.index("Level names uncertain: all levels.") < words.index("The spine at a glance")
    assert words.count("Name of the level uncertain.") == 5


def test_page_when_nothing_was_located_then_the_middle_slice_is_shown_and_that_is_said() -> None:
    grades = example_grades()
    nowhere = dataclasses.replace(
        grades,
        mid_sagittal=None,
        measurements=(),
        levels=(),
        cells=tuple(CellGrade(grade.cell, Status.NOT_GRADED, "no anatomy") for grade in grades.cells),
    )
    page = page_of(nowhere)
    assert "The anatomy was not located." in page.words
    assert "not a located mid-line" in page.words
    assert len(page.all("image")) == 1


def test_page_when_the_study_has_no_slice_of_the_grades_then_there_is_no_picture() -> None:
    page = page_of(example_grades(), Study("2.25.100", ()))
    assert not page.all("image")
    assert "No Axial T2 series in this study." in page.words
    assert "The mid-sagittal slice cannot be shown." in page.words


@pytest.mark.parametrize(("uid", "n_pictures"), [(AXIAL_UID, 6), (T1_UID, 10)])
def test_page_when_a_series_is_absent_then_the_other_pictures_stay(uid: str, n_pictures: int) -> None:
    assert len(page_of(example_grades(), without(example_study(), uid)).all("image")) == n_pictures


def test_page_when_a_level_is_not_imaged_then_it_says_so_and_shows_no_picture() -> None:
    page = page_of(not_imaged(example_grades(), Level.L5_S1))
    assert "Canal stenosis at L5/S1: not imaged." in page.words
    assert "This level lies outside the imaged field." in page.words
    assert len(page.all("image")) == 8


def test_page_when_a_profile_is_missing_or_empty_then_the_picture_stays() -> None:
    grades = example_grades()
    assert grades.mid_sagittal
    assert grades.mid_sagittal.profile
    bare = dataclasses.replace(grades, mid_sagittal=dataclasses.replace(grades.mid_sagittal, profile=None))
    assert "The canal profile could not be measured." in page_of(bare).words
    unknown = np.full_like(grades.mid_sagittal.profile.diameter_mm, np.nan)
    profile = dataclasses.replace(grades.mid_sagittal.profile, diameter_mm=unknown)
    blank = dataclasses.replace(
        grades, mid_sagittal=dataclasses.replace(grades.mid_sagittal, profile=profile)
    )
    labels = [attrs.get("aria-label") or "" for attrs in page_of(blank).all("svg")]
    assert "Canal profile: no diameter could be measured." in labels


def test_page_when_slices_cannot_be_decoded_then_it_is_written_without_them() -> None:
    def source(indices: Sequence[int]) -> NDArray[np.float32]:
        msg = "pixels must be decodable, got rubbish"
        raise UnreadableInstanceError(msg)

    study = example_study()
    broken = tuple(
        Series(
            series.uid,
            series.plane,
            series.weighting,
            series.role,
            series.why,
            tuple(dataclasses.replace(volume, source=source) for volume in series.volumes),
        )
        for series in study.series
    )
    page = page_of(example_grades(), dataclasses.replace(study, series=broken))
    assert not page.all("image")
    assert "Cannot be shown: the grade rests on this slice (axial)." in page.words
    assert "Severe canal stenosis at L4/L5" in page.words


def test_page_when_an_outline_was_taken_on_another_slice_then_it_is_not_drawn_but_said() -> None:
    grades = example_grades()
    x, y, z = grades.levels[3].point or (0.0, 0.0, 0.0)
    sac = Measurement(Quantity.DURAL_SAC_AREA, Level.L4_L5, 61.4, ((x, y, z), (x + 5, y, z), (x, y + 5, z)))
    near = page_of(dataclasses.replace(grades, measurements=(sac,)))
    assert [attrs["class"] for attrs in near.all("polygon")].count("measured-area") == 1
    far = dataclasses.replace(sac, points=tuple((x, y, z - 12.0) for x, y, z in sac.points))
    page = page_of(dataclasses.replace(grades, measurements=(far,)))
    assert "measured-area" not in [attrs["class"] for attrs in page.all("polygon")]
    assert re.search(r"dural sac area was outlined 1\d mm away", page.words)


def test_page_when_many_files_were_left_out_for_one_reason_then_they_are_folded() -> None:
    unused = tuple(Unused(f"file{index}", "zero bytes") for index in range(40))
    page = page_of(dataclasses.replace(example_grades(), unused=unused))
    assert "Zero bytes: 40 items" in page.words
    assert len(page.all("details")) == 1 + len(page_of(example_grades()).all("details"))


def test_page_tells_the_findings_of_discs_and_folds_how_well_they_were_answered() -> None:
    words = page_of(example_grades()).words
    for said in (
        "Yes 93 %",
        "Uncertain 55 %",
        "No 98 %",
        "About 3",
        "2 or 3",
        "L5/S1: the disc was not seen.",
    ):
        assert said in words
    assert "Learnt from patients: a set of patients, CC BY 4.0." in words
    assert "0.925 (0.900 to 0.945)" in words
    assert "Findings of the discs" not in page_of(dataclasses.replace(example_grades(), discs=())).words


def test_page_when_foramina_are_graded_then_their_pictures_and_grades_are_on_the_cards() -> None:
    grades = example_grades()

    def severe(grade: CellGrade, off_mm: float) -> CellGrade:
        assert grade.point
        point = (off_mm if grade.cell.side is Side.LEFT else -off_mm, *grade.point[1:])
        return CellGrade(grade.cell, Status.GRADED, probabilities=Probabilities((0.1, 0.2, 0.7)), point=point)

    def with_points(off_mm: float) -> Page:
        cells = (severe(grade, off_mm) if grade.cell.side else grade for grade in grades.cells)
        return page_of(dataclasses.replace(grades, cells=tuple(cells)))

    before, beyond, page = page_of(grades), with_points(40.0), with_points(6.0)
    assert len(page.all("figure")) - len(before.all("figure")) == 10
    assert len(beyond.all("figure")) == len(before.all("figure"))
    assert page.words.count("Left foramen Severe") == page.words.count("Right foramen Severe") == 10
    assert page.words.count("Left subarticular zone Severe 70 %") == 5
    assert not [attrs for attrs in before.all("div") if attrs.get("class") == "foramina"]


def test_page_when_a_foramen_was_outlined_then_it_is_drawn_and_told_in_its_place() -> None:
    grades = example_grades()

    def outlined(grade: CellGrade) -> CellGrade:
        if grade.cell.condition is not Condition.NEURAL_FORAMINAL_NARROWING or not grade.point:
            return grade
        x, y, z = (6.0 if grade.cell.side is Side.LEFT else -6.0, *grade.point[1:])
        ring = tuple((x, y + 4 * np.cos(t), z + 6 * np.sin(t)) for t in np.linspace(0, 6, 20))
        area = Measurement(Quantity.FORAMINAL_AREA, grade.cell.level, 75.4, ring)
        return CellGrade(
            grade.cell,
            Status.GRADED,
            probabilities=Probabilities((0.1, 0.2, 0.7)),
            point=(x, y, z),
            measurements=(area,),
        )

    before = page_of(grades)
    page = page_of(dataclasses.replace(grades, cells=tuple(map(outlined, grades.cells))))

    def drawn(of: Page) -> int:
        return sum(attrs.get("class") == "measured-area" for attrs in of.all("polygon"))

    assert drawn(page) - drawn(before) == 10
    assert page.words.count("Foraminal area 75.4 mm².") == 10


def test_page_when_the_bundle_has_a_caution_then_it_stands_at_the_top() -> None:
    words = page_of(dataclasses.replace(example_grades(), caution="it knows phantoms only")).words
    assert words.index("Do not rely on this: It knows phantoms only.") < words.index("Graded lumbar-1")
    assert "Do not rely on this" not in page_of(example_grades()).words


def draft(grade: CellGrade) -> CellGrade:
    shares = Probabilities((0.05, 0.05, 0.9))
    return dataclasses.replace(grade, status=Status.DRAFT, reason="phantoms only", probabilities=shares)


def drafted() -> StudyGrades:
    """The example with every foramen and subarticular zone a draft that says Severe."""
    grades = example_grades()
    cells = tuple(draft(grade) if grade.cell.side else grade for grade in grades.cells)
    evidence = {
        Condition.SPINAL_CANAL_STENOSIS: ConditionEvidence(
            RestsOn.MEASURED, 1, 5, 0.48, 1.41, "score COHORT"
        ),
        Condition.SUBARTICULAR_STENOSIS: ConditionEvidence(RestsOn.PHANTOMS_ONLY),
    }
    return dataclasses.replace(grades, cells=cells, evidence=evidence)


def test_page_when_cells_are_drafts_then_they_are_folded_and_out_of_what_is_said() -> None:
    html = as_html(drafted(), example_study())
    page = Page(html)
    folds = [attrs for attrs in page.all("details") if attrs.get("class") == "drafts"]
    assert len(folds) == 6, "one for each level, and the table"
    assert not any("open" in attrs for attrs in folds)
    openly = re.sub(r"<details class=\"drafts\".*?</details>", "", html, flags=re.DOTALL)
    said = Page(openly).words
    assert "foramen" not in said.lower().replace("those of foramina", "")
    assert "foraminal narrowing and subarticular stenosis: drafts only" in said.lower()
    assert said.count("Severe") == page_of(example_grades()).words.count("Severe")
    assert page.words.count("Left foramen Severe 90 %") == 5


def test_page_when_drafts_are_asked_for_then_they_are_open() -> None:
    known = dict.fromkeys(LUMBAR_MRI.cells, Severity.SEVERE)
    page = Page(as_html(drafted(), example_study(), reference=known, open_drafts=True))
    folds = [attrs for attrs in page.all("details") if attrs.get("class") == "drafts"]
    assert len(folds) == 6
    assert all("open" in attrs for attrs in folds)
    assert "20 of 20 drafts are as the reference says." in page.words


def test_page_tells_what_is_known_on_patients_of_each_condition() -> None:
    words = page_of(drafted()).words
    assert (
        "Spinal canal stenosis published thresholds on anatomy outlined by a network trained on patients"
        in words
    )
    assert "1 5 0.48 1.41 graded" in words
    assert "a network that has seen phantoms only 0 0 – – draft" in words
    assert "What is known on patients" not in page_of(example_grades()).words


def test_page_when_the_canal_itself_is_a_draft_then_nothing_is_found() -> None:
    grades = example_grades()
    cells = tuple(draft(grade) for grade in grades.cells)
    html = as_html(dataclasses.replace(grades, cells=cells), example_study())
    openly = re.sub(r"<details class=\"drafts\".*?</details>", "", html, flags=re.DOTALL)
    words = Page(openly).words
    assert "Nothing could be graded." in words
    assert "90 %" not in words.replace("60 %", "")
    assert len(re.findall("draft phantoms only", words.lower())) == 5


def test_levels_with_findings_come_first_and_the_jump_list_leads_to_them(page: Page) -> None:
    leads = [attrs["href"] for attrs in page.all("a")]
    levels = [attrs["id"] for attrs in page.all("h3")]
    assert leads == [f"#{level}" for level in levels]
    assert levels == [f"level-{name}" for name in ("l4_l5", "l3_l4", "l1_l2", "l2_l3", "l5_s1")]


def test_page_tells_examination_and_date_of_grading_as_far_as_they_are_known() -> None:
    whole = Examination(date(2024, 5, 6), "57 years", "female", "Siemens Aera", 1.5)
    study = dataclasses.replace(example_study(), examination=whole)
    words = Page(as_html(example_grades(), study, made_on=date(2025, 1, 2))).words
    assert "Examination 2024-05-06, 57 years, female Scanner Siemens Aera, 1.5 T" in words
    assert "Graded 2025-01-02 by lumbar-1 0.1.0" in words
    assert "Lumbar spine of 2024-05-06" in words
    bare = dataclasses.replace(study, examination=whole.without_demographics())
    words = Page(as_html(example_grades(), bare)).words
    assert "Examination" not in words
    assert "2024-05" not in words
    assert "Scanner Siemens Aera" in words


def test_values_stand_beside_their_normal_ranges(page: Page) -> None:
    assert "Canal AP diameter 7.8 mm (≥ 12)" in page.words
    assert "Canal AP diameter 16.2 14.9 11.4 7.8 14.1 mm ≥ 12" in page.words
    assert "doi:10.1186/s13018-018-0737-x" in page.words
    outside = [attrs for attrs in page.all("td") if "outside" in (attrs.get("class") or "")]
    # two diameters, a ratio and an area
    assert len(outside) == 2 + 1 + 1


def test_pictures_carry_their_neighbouring_slices(page: Page) -> None:
    stacks = [attrs for attrs in page.all("image") if "data-of" in attrs]
    assert len(stacks) == 9
    for attrs in stacks:
        listed = f"{attrs['data-before']} {attrs['data-after']}".split()
        assert len(listed) == 2
        assert attrs["href"] not in listed
        assert all(one.startswith("data:image/jpeg;base64,") for one in listed)


def test_canal_profile_names_the_narrowest_level_of_the_lumbar_canal_not_its_sacral_end() -> None:
    grades = example_grades()
    assert grades.mid_sagittal
    assert grades.mid_sagittal.profile
    profile = grades.mid_sagittal.profile
    tapered = profile.diameter_mm.copy()
    tapered[-3:] = 1.5  # below S1
    spoilt = dataclasses.replace(profile, diameter_mm=tapered)
    page = page_of(
        dataclasses.replace(grades, mid_sagittal=dataclasses.replace(grades.mid_sagittal, profile=spoilt))
    )
    (alt,) = (
        a["aria-label"] for a in page.all("svg") if (a.get("aria-label") or "").startswith("Canal profile")
    )
    assert alt == (
        "Canal profile: the anteroposterior diameter of the lumbar canal runs from 7.8 to 16.5 mm; "
        "it is narrowest at L4/L5."
    )
