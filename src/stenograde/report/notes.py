"""Sentences that stand in every report, whatever was found; no markup."""

from __future__ import annotations

from stenograde.evidence import RestsOn
from stenograde.grades import BundleStamp

RESEARCH = "Research use only: not a medical device."
TO_BE_CHECKED = (
    "Every statement is a computer's draft and must be checked against the full study by a qualified reader."
)
NOTHING_GRADED = "Nothing could be graded."
UNCERTAIN_LEVELS = "Level names uncertain:"
UNCERTAIN_LEVEL = "Name of the level uncertain."
DO_NOT_RELY = "Do not rely on this:"
SIDES = "Sides are the patient's."

PROBABILITIES = (
    "Probabilities of the three RSNA 2024 severities. From 60 % on a severity is said; below, two neighbours are "
    "named where they hold 80 % together, else the grade is uncertain. Normal/Mild is one merged grade: it does not "
    "mean normal."
)
DISCS = (
    "Yes or no is said from 60 % on; of the Pfirrmann grade, one grade from 60 %, else two neighbours where they hold "
    "80 % together, else about which it is."
)
DISC_SCORES = (
    "patients that the answering heads had not seen. “Level alone” looks at no picture and knows how common a finding "
    "is at each level; what is not certainly better than that is not told. One mid-sagittal slice is looked at: what "
    "lies to its side is not seen."
)
DRAFTS = (
    "No findings: they come from a network that has seen phantoms only and was not shown to hold on patients."
)
RANGES = (
    "Ranges are for orientation only; values outside are marked. “–” stands where none is published for what is "
    "measured here."
)
EVIDENCE = (
    "Log loss weighted as in RSNA 2024, less is better; “level alone” is that of knowing nothing but how common each "
    "severity is at each level. What has seen phantoms only stays a draft until it is better than that on at least 10 "
    "patients and 100 cells."
)
LETTERS = (
    "Letters at the edges are the patient's directions: A front, P back, H head, F feet, R right, L left; on axial "
    "pictures the patient's right is on the left, as seen from the feet, and the diamonds R and L mark the "
    "subarticular zones. The ring marks the point that the statement is about"
)
MEASURED_LINES = "; yellow lines are measurements in mm"
NOTHING_LEFT_OUT = "Nothing: every file of the study was read."
OUTSIDE_FIELD = "This level lies outside the imaged field."

RESTS_ON = {
    RestsOn.MEASURED: "published thresholds on anatomy outlined by a network trained on patients",
    RestsOn.LEARNT: "a network that has learnt from patients",
    RestsOn.PHANTOMS_ONLY: "a network that has seen phantoms only",
}
"""What the grades of a condition rest on."""


def made_by(bundle: BundleStamp) -> str:
    """Return which bundle graded, as a sentence.

    Examples
    --------
    >>> made_by(BundleStamp("lumbar-mri-25", "1.0", "0123456789abcdef"))
    'Graded by lumbar-mri-25 1.0 (0123456789ab).'
    """
    return f"Graded by {bundle.name} {bundle.version} ({bundle.hash[:12]})."
