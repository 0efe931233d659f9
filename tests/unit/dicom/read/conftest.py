"""Synthetic studies to read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dicom_files import write_study


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    """A lumbar study of three series with full headers."""
    return write_study(tmp_path / "study")
