"""A real study that was de-identified is graded as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from stenograde import as_json, default_bundle, grade_study, read_study
from stenograde.cli import main

pytestmark = [pytest.mark.data, pytest.mark.slow]

STUDY = "100206310"


def graded(folder: Path) -> dict[str, Any]:
    """Grades without what must differ: UIDs, which are new, and what names them or the time."""
    document = as_json(grade_study(read_study(folder), default_bundle()))
    for graded_one in (*document["cells"], *document["discs"]["levels"]):
        for place in graded_one["evidence"]:
            del place["series_uid"], place["sop_instance_uid"]
    for name in ("study_uid", "series", "unused", "warnings", "seconds"):
        del document[name]
    return document


def test_grades_of_the_copy_are_those_of_the_study(development_data: Path, tmp_path: Path) -> None:
    source, copy = development_data / "rsna2024_study/train_images" / STUDY, tmp_path / "copy"
    assert main(["deidentify", str(source), str(copy)]) == 0
    before = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in source.rglob("*.dcm")}
    after = [dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in copy.rglob("*.dcm")]
    assert len(after) == len(list(source.rglob("*.dcm")))
    assert before.isdisjoint(after)
    assert graded(copy) == graded(source)
