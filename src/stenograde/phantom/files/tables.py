"""Common needs of all cohorts of phantoms: a seed for each patient, and tables as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def patient_seed(seed: int, number: int) -> int:
    """Return the seed of one patient of a cohort."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def write_table(path: Path, head: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a table as CSV, with Unix line ends on every machine."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
