"""Every coded concept that DICOM and FHIR are told; ``docs/dicom-codes.md`` says what each means.

A code of SNOMED CT, DCM, LOINC or UCUM stands here only if pydicom's tables have it with this meaning; what no
table has is coded in a scheme of our own. Normal/Mild is a merged grade: it is never written as normal, nor as mild.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from stenograde.grades import PFIRRMANN_GRADES, DiscFinding, Status
from stenograde.terms import SCHEMES, Cell, Condition, Level, Quantity, Severity, Side, Unit


class Concept(NamedTuple):
    """A coded concept."""

    value: str
    scheme: str
    """Designator as in DICOM (PS3.16 8.1): ``SCT``, ``DCM``, ``LN``, ``UCUM`` or our own."""
    meaning: str


SCHEME: Final = "99STENOGRADE"
"""Designator of our own scheme; 99 marks private ones (PS3.3 8.2)."""

SCHEME_NAME: Final = "Codes of stenograde, docs/dicom-codes.md"
SCHEME_VERSION: Final = "1"


def _own(value: str, meaning: str) -> Concept:
    return Concept(value, SCHEME, meaning)


REPORT: Final = Concept("126000", "DCM", "Imaging Measurement Report")
MR_PROCEDURE: Final = Concept("25056-3", "LN", "MRI unspecified body region")
PROCEDURE: Final = _own("PROCEDURE", "Imaging procedure")
ENGLISH: Final = Concept("en", "RFC5646", "English")
PROCEDURE_REPORTED: Final = Concept("121058", "DCM", "Procedure reported")
IMAGING_MEASUREMENTS: Final = Concept("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS: Final = Concept("C0034375", "UMLS", "Qualitative Evaluations")
"""Not in pydicom's tables; of row 12 of TID 1500 itself."""
CENTER: Final = Concept("111010", "DCM", "Center")
DEVICE: Final = Concept("121007", "DCM", "Device")
YES: Final = Concept("373066001", "SCT", "Yes")
NO: Final = Concept("373067005", "SCT", "No")
UNCERTAIN: Final = Concept("64957009", "SCT", "Uncertain")

OUTCOME: Final = _own("OUTCOME", "Outcome of grading")
STUDY_GRADED: Final = _own("STUDY-GRADED", "Study was graded")
STUDY_NOT_GRADED: Final = _own("STUDY-NOT-GRADED", "Study was not graded")
INTENDED_USE: Final = _own("INTENDED-USE", "Intended use")
WARNING: Final = _own("WARNING", "Warning to the reader")
DRAFTS: Final = _own("DRAFTS", "Drafts left out")
IMAGED: Final = _own("LEVEL-IMAGED", "Level is imaged")
CERTAIN: Final = _own("LEVEL-CERTAIN", "Name of level is certain")
SECOND_OPINION: Final = _own("SCS-2", "Spinal canal stenosis, second opinion from measurements")
DISC: Final = _own("DISC", "Findings of the disc")
INTERVERTEBRAL_DISC: Final = _own("VERTEBRAL-DISC", "Intervertebral disc")
"""One whose level is not known or not certain; SNOMED CT has codes of such discs, but pydicom\'s tables do not."""
PFIRRMANN_GRADE: Final = _own("PFG", "Pfirrmann grade")

_LEVELS: Final = {
    Level.C2_C3: "243902007",
    Level.C3_C4: "243903002",
    Level.C4_C5: "243904008",
    Level.C5_C6: "243905009",
    Level.C6_C7: "243906005",
    Level.C7_T1: "243925008",
    Level.L1_L2: "243920003",
    Level.L2_L3: "243921004",
    Level.L3_L4: "243922006",
    Level.L4_L5: "243923001",
    Level.L5_S1: "243927000",
}
_UNITS: Final = {
    Unit.MM: Concept("mm", "UCUM", "mm"),
    Unit.MM2: Concept("mm2", "UCUM", "square millimeter"),
    Unit.ONE: Concept("1", "UCUM", "no units"),
}
_CONDITIONS: Final = {
    Condition.SPINAL_CANAL_STENOSIS: "SCS",
    Condition.NEURAL_FORAMINAL_NARROWING: "NFN",
    Condition.SUBARTICULAR_STENOSIS: "SAS",
}
_SEVERITIES: Final = {Severity.NORMAL_MILD: "NM", Severity.MODERATE: "MOD", Severity.SEVERE: "SEV"}
_SAID: Final = {
    (Severity.NORMAL_MILD,): _own("NM", "Normal or mild (one merged grade, not normal)"),
    (Severity.MODERATE,): Concept("6736007", "SCT", "Moderate"),
    (Severity.SEVERE,): Concept("24484000", "SCT", "Severe"),
    (Severity.NORMAL_MILD, Severity.MODERATE): _own("NM-MOD", "Normal/mild or moderate"),
    (Severity.MODERATE, Severity.SEVERE): _own("MOD-SEV", "Moderate or severe"),
    tuple(Severity): UNCERTAIN,
}
_STATUSES: Final = {
    Status.DRAFT: _own("LEFT-OUT", "Not reported: a draft, not shown to hold on patients"),
    Status.ABSTAINED: _own("ABSTAINED", "No grade given: abstained"),
    Status.NOT_IMAGED: _own("NOT-IMAGED", "Not imaged"),
    Status.NOT_GRADED: _own("NOT-GRADED", "Not graded"),
}
_QUANTITIES: Final = {
    Quantity.CANAL_AP_DIAMETER: "CANAL-AP",
    Quantity.CANAL_AP_DIAMETER_ABOVE: "CANAL-AP-ABOVE",
    Quantity.CANAL_AP_DIAMETER_BELOW: "CANAL-AP-BELOW",
    Quantity.CANAL_AP_RATIO: "CANAL-AP-RATIO",
    Quantity.CSF_SIGNAL_RATIO: "CSF-RATIO",
    Quantity.DISC_HEIGHT: "DISC-HEIGHT",
    Quantity.DURAL_SAC_AREA: "SAC-AREA",
    Quantity.FORAMINAL_AREA: "FORAMEN-AREA",
    Quantity.FORAMINAL_FAT_AREA: "FORAMEN-FAT-AREA",
    Quantity.RECESS_HEIGHT: "RECESS-HEIGHT",
}
_FINDINGS: Final = {
    DiscFinding.NARROWING: "D-NARROWING",
    DiscFinding.HERNIATION: "D-HERNIATION",
    DiscFinding.BULGING: "D-BULGING",
    DiscFinding.SPONDYLOLISTHESIS: "D-LISTHESIS",
    DiscFinding.MODIC_CHANGE: "D-MODIC",
    DiscFinding.UPPER_END_PLATE: "D-UPPER-PLATE",
    DiscFinding.LOWER_END_PLATE: "D-LOWER-PLATE",
}


def level_code(level: Level) -> Concept:
    """Return the code of the level of a disc.

    Examples
    --------
    >>> level_code(Level.L4_L5).meaning
    'Level of L4/L5 intervertebral disc'
    """
    return Concept(_LEVELS[level], "SCT", f"Level of {level.shown} intervertebral disc")


def unit_code(unit: Unit) -> Concept:
    """Return the code of a unit in UCUM."""
    return _UNITS[unit]


def cell_code(condition: Condition, side: Side | None) -> Concept:
    """Return the code of what is asked of a level: a condition, with its side where it has one.

    Examples
    --------
    >>> cell_code(Condition.NEURAL_FORAMINAL_NARROWING, Side.LEFT)
    Concept(value='NFN-L', scheme='99STENOGRADE', meaning='Left neural foraminal narrowing')
    """
    value = f"{_CONDITIONS[condition]}-{side.value[0].upper()}" if side else _CONDITIONS[condition]
    words = f"{side.value if side else ''} {condition.value.replace('_', ' ')}".strip()
    return _own(value, words.capitalize())


def said_code(said: Sequence[Severity]) -> Concept:
    """Return the code of what is said of a graded cell; see :attr:`stenograde.grades.Probabilities.said`."""
    return _SAID[tuple(said)]


def status_code(status: Status) -> Concept:
    """Return the code of why a cell or a disc has no grade."""
    return _STATUSES[status]


def probability_code(cell: Cell, severity: Severity) -> Concept:
    """Return the code of the probability of a severity.

    Examples
    --------
    >>> probability_code(Cell.parse("left_subarticular_stenosis_l4_l5"), Severity.SEVERE).meaning
    'Probability: left subarticular stenosis severe'
    """
    return _probability(cell_code(cell.condition, cell.side), _SEVERITIES[severity], severity.shown.lower())


def _probability(of: Concept, value: str = "", words: str = "") -> Concept:
    meaning = f"Probability: {of.meaning[:1].lower() + of.meaning[1:]} {words}".strip()
    return _own(f"P-{of.value}{'-' if value else ''}{value}", meaning)


def quantity_code(quantity: Quantity) -> Concept:
    """Return the code of what is measured."""
    return _own(_QUANTITIES[quantity], quantity.shown)


def finding_code(finding: DiscFinding) -> Concept:
    """Return the code of a finding of a disc."""
    return _own(_FINDINGS[finding], f"Disc finding: {finding.shown}")


def finding_probability_code(finding: DiscFinding) -> Concept:
    """Return the code of the probability of a finding of a disc."""
    return _probability(finding_code(finding))


def yes_or_no(said: bool | None) -> Concept:
    """Return the code of yes, no, or uncertain."""
    return {True: YES, False: NO, None: UNCERTAIN}[said]


def pfirrmann_code(grades: Sequence[int]) -> Concept:
    """Return the code of the Pfirrmann grades that are said: one, two neighbours, or none.

    Examples
    --------
    >>> [pfirrmann_code(grades).meaning for grades in ((4,), (3, 4), ())]
    ['Pfirrmann grade 4', 'Pfirrmann grade 3 or 4', 'Uncertain']
    """
    if not grades:
        return UNCERTAIN
    words = " or ".join(map(str, grades))
    return _own(f"PFG-{'-'.join(map(str, grades))}", f"Pfirrmann grade {words}")


def pfirrmann_probability_code(grade: int) -> Concept:
    """Return the code of the probability of a Pfirrmann grade."""
    return _own(f"P-PFG-{grade}", f"Probability: Pfirrmann grade {grade}")


def every_concept() -> Iterator[Concept]:
    """Give each code that may be written, for the page that lists them and for the test that checks them."""
    yield from (REPORT, MR_PROCEDURE, PROCEDURE, ENGLISH, PROCEDURE_REPORTED, IMAGING_MEASUREMENTS)
    yield from (QUALITATIVE_EVALUATIONS, DEVICE, YES, NO, UNCERTAIN)
    yield from (OUTCOME, STUDY_GRADED, STUDY_NOT_GRADED, INTENDED_USE, WARNING, DRAFTS, IMAGED, CERTAIN)
    yield from (SECOND_OPINION, DISC, INTERVERTEBRAL_DISC, PFIRRMANN_GRADE)
    yield from map(level_code, Level)
    yield from _UNITS.values()
    for scheme in SCHEMES.values():
        for cell in scheme.at(scheme.levels[0]):
            yield cell_code(cell.condition, cell.side)
            yield from (probability_code(cell, severity) for severity in Severity)
    yield from _SAID.values()
    yield from _STATUSES.values()
    yield from map(quantity_code, Quantity)
    yield from map(finding_code, DiscFinding)
    yield from map(finding_probability_code, DiscFinding)
    yield from (pfirrmann_code((grade,)) for grade in PFIRRMANN_GRADES)
    yield from (pfirrmann_code((grade, grade + 1)) for grade in PFIRRMANN_GRADES[:-1])
    yield from map(pfirrmann_probability_code, PFIRRMANN_GRADES)
