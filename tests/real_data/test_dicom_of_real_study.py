"""The structured report of one real study: right by independent tools, and equal to grades.json."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import highdicom as hd
import pytest
from tests.sr_tree import groups_of, numbers_in, strays
from tests.written_objects import dciodvfy, dsrdump

from stenograde import default_bundle, grade_study, read_study
from stenograde.dicom.write.series import Edition, as_file
from stenograde.dicom.write.sources import sources_of
from stenograde.dicom.write.sr import structured_report
from stenograde.report.as_json import as_json

pytestmark = pytest.mark.data

STUDY = "100206310"


def test_the_report_is_right_but_for_the_uids_of_its_source_and_equals_grades_json(
    development_data: Path, tmp_path: Path
) -> None:
    study = read_study(development_data / "rsna2024_study/train_images" / STUDY)
    grades, sources = grade_study(study, default_bundle()), sources_of(study)
    path = tmp_path / "sr.dcm"
    edition = Edition.of(sources, grades.bundle, datetime(2026, 5, 6))
    path.write_bytes(as_file(structured_report(grades, sources, edition)))

    # the data set's own UIDs have a root that the standard does not know; what we add must be without error
    assert [line for line in dciodvfy(path) if f'Illegal root for UID - "{STUDY}' not in line] == []
    assert dsrdump(path) == []
    ds = hd.sr.srread(path)
    assert list(strays(ds)) == []
    told = {
        (level, value) for level, group in groups_of(ds).items() for value, _ in numbers_in(group).values()
    }
    document = as_json(grades)
    assert len(told) > len(document["measurements"])
    for one in document["measurements"]:
        assert (one["level"], one["value"]) in told
    for cell in document["cells"]:
        if cell["status"] == "graded":
            assert {(cell["level"], share) for share in cell["probability"].values()} <= told
