"""Write the frozen documents again, by ``python -m tests.golden.report.regenerate``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.golden.report.example import example_grades, example_study

from stenograde.report.as_csv import as_csv, discs_as_csv
from stenograde.report.as_html import as_html
from stenograde.report.as_json import as_json

FOLDER = Path(__file__).parent
"""Where the frozen documents lie."""


def documents() -> dict[str, str]:
    """Return the example's documents by file name; pictures and style are left out of the page."""
    grades, study = example_grades(), example_study()
    page = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "data:image/jpeg", as_html(grades, study))
    page = re.sub(r"<style>.*</style>", "<style></style>", page, flags=re.DOTALL)
    return {
        "grades.json": json.dumps(as_json(grades), indent=2, allow_nan=False) + "\n",
        "grades.csv": as_csv([grades]),
        "discs.csv": discs_as_csv([grades]),
        "report.html": page,
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (FOLDER / name).write_text(text, "utf-8")
