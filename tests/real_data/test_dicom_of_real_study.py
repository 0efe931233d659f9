"""The DICOM objects of a real study: right by independent tools, and equal to grades.json."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.result_checks import check_everything, grade_and_write

pytestmark = [pytest.mark.data, pytest.mark.slow]

STUDY = "100206310"


def test_objects_are_right_but_for_the_uids_of_their_source(development_data: Path, tmp_path: Path) -> None:
    one = grade_and_write(development_data / "rsna2024_study/train_images" / STUDY, tmp_path / "out")
    # the data set's own UIDs have a root that the standard does not know; what we add must be without error
    check_everything(one, own_roots=STUDY)
