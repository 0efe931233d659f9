"""Reads a structured report back, and compares its tree with the template that it says it follows.

The template is written down here by hand, as narrow as our reports are. No package of pydicom's world carries PS3.16's
templates for a machine; PixelMed, a program in Java, does, and a slower test asks it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset

ANY = ("*", "*")

Code = tuple[str, str]

# Codes of what ``grades.json`` says in words.
SHORT = {"spinal_canal_stenosis": "SCS", "neural_foraminal_narrowing": "NFN", "subarticular_stenosis": "SAS"}
WORDINGS = {
    "Normal/Mild": "NM",
    "Moderate": "6736007",
    "Severe": "24484000",
    "Normal/Mild or moderate": "NM-MOD",
    "Moderate or severe": "MOD-SEV",
    "Uncertain": "64957009",
}
STATUSES = {
    "draft": "LEFT-OUT",
    "abstained": "ABSTAINED",
    "not_imaged": "NOT-IMAGED",
    "not_graded": "NOT-GRADED",
}
SHARES = {"normal_mild": "NM", "moderate": "MOD", "severe": "SEV"}
YES_NO = {True: "373066001", False: "373067005"}


@dataclass(frozen=True)
class Row:
    """A row of a template: what may stand at a place, and how often."""

    relationship: str
    value_type: str
    concept: Code
    least: int = 0
    most: int | None = None
    children: tuple[Row, ...] = field(default=())

    def allows(self, item: Dataset) -> bool:
        return (
            item.RelationshipType == self.relationship
            and item.ValueType == self.value_type
            and self.concept in (ANY, name_of(item))
        )


def name_of(item: Dataset) -> Code:
    """Return value and scheme of an item's concept name."""
    code = item.ConceptNameCodeSequence[0]
    return code.CodeValue, code.CodingSchemeDesignator


_OBS, _MOD, _CON, _INF, _SEL = (
    "HAS OBS CONTEXT",
    "HAS CONCEPT MOD",
    "CONTAINS",
    "INFERRED FROM",
    "SELECTED FROM",
)

_IMAGE_OF_POINT = Row(_SEL, "IMAGE", ANY, 1, 1)
_MEASUREMENT = Row(  # TID 300, with TID 320 and 321 for what it was inferred from
    _CON,
    "NUM",
    ANY,
    children=(
        Row(_INF, "SCOORD", ("260753009", "SCT"), children=(_IMAGE_OF_POINT,)),
        Row(_INF, "SCOORD3D", ("260753009", "SCT")),
    ),
)
_GROUP = Row(  # TID 1501, with TID 4019 for the algorithm
    _CON,
    "CONTAINER",
    ("125007", "DCM"),
    children=(
        Row(_OBS, "TEXT", ("112039", "DCM"), 1, 1),
        Row(_OBS, "UIDREF", ("112040", "DCM"), 1, 1),
        Row(_MOD, "CODE", ("363698007", "SCT")),
        Row(_MOD, "TEXT", ("111001", "DCM"), 1, 1),
        Row(_MOD, "TEXT", ("111003", "DCM"), 1, 1),
        Row(_MOD, "TEXT", ("111002", "DCM")),
        _MEASUREMENT,
        Row(_CON, "CODE", ANY),
        Row(_CON, "TEXT", ANY),
        Row(_CON, "SCOORD", ("111010", "DCM"), 0, 1, children=(_IMAGE_OF_POINT,)),  # (an extension)
    ),
)
TID_1500 = (
    Row(_MOD, "CODE", ("121049", "DCM"), 1, 1),  # TID 1204
    Row(_OBS, "CODE", ("121005", "DCM"), 1, 2),  # TID 1001, 1002
    Row(_OBS, "PNAME", ("121008", "DCM"), 0, 1),  # TID 1003
    Row(_OBS, "TEXT", ("121009", "DCM"), 0, 1),
    Row(_OBS, "UIDREF", ("121012", "DCM"), 1, 1),  # TID 1004
    Row(_OBS, "TEXT", ("121013", "DCM"), 0, 1),
    Row(_OBS, "TEXT", ("121014", "DCM"), 0, 1),
    Row(_OBS, "TEXT", ("121015", "DCM"), 0, 1),
    Row(_OBS, "TEXT", ("121016", "DCM"), 0, 1),
    Row(_MOD, "CODE", ("121058", "DCM"), 1),  # row 4
    Row(_CON, "CONTAINER", ("126010", "DCM"), 0, 1, children=(_GROUP,)),  # row 6
    Row(
        _CON,
        "CONTAINER",
        ("C0034375", "UMLS"),
        0,
        1,
        children=(Row(_CON, "CODE", ANY), Row(_CON, "TEXT", ANY)),
    ),  # rows 12 to 14
)
"""PS3.16 TID 1500 and what it includes, as far as a report of ours may use them; row numbers as in DCMTK's dcmsr."""


def strays(ds: Dataset, rows: tuple[Row, ...] = TID_1500, at: str = "root") -> Iterator[str]:
    """Give each item that no row of the template allows, and each row that is met too seldom or too often."""
    met = dict.fromkeys(range(len(rows)), 0)
    for item in ds.get("ContentSequence", ()):
        place = next((number for number, row in enumerate(rows) if row.allows(item)), None)
        if place is None:
            yield f"{at}: {item.RelationshipType} {item.ValueType} {name_of(item)}"
            continue
        met[place] += 1
        yield from strays(item, rows[place].children, f"{at} > {name_of(item)[0]}")
    for place, n in met.items():
        row = rows[place]
        if n < row.least or (row.most is not None and n > row.most):
            yield f"{at}: {row.value_type} {row.concept} is there {n} times"


def items(ds: Dataset) -> Iterator[Dataset]:
    """Give each item of a tree."""
    for item in ds.get("ContentSequence", ()):
        yield item
        yield from items(item)


def codes_in(ds: Dataset) -> set[tuple[str, str, str]]:
    """Return value, scheme and meaning of every code in a data set."""
    found = set()
    for element in ds.iterall():
        if element.VR == "SQ":
            found |= {
                (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
                for item in element.value
                if "CodeValue" in item
            }
    return found


def groups_of(ds: Dataset) -> dict[str, Dataset]:
    """Return the measurement groups by their tracking identifier."""
    found = {}
    for item in items(ds):
        if item.ValueType == "CONTAINER" and name_of(item) == ("125007", "DCM"):
            label = next(one.TextValue for one in item.ContentSequence if name_of(one)[0] == "112039")
            found[label] = item
    return found


def numbers_in(group: Dataset) -> dict[str, tuple[float, str]]:
    """Return value and unit of each measurement of a group by its code."""
    found: dict[str, tuple[float, str]] = {}
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            (measured,) = item.MeasuredValueSequence
            unit = measured.MeasurementUnitsCodeSequence[0]
            assert name_of(item)[0] not in found
            assert unit.CodingSchemeDesignator == "UCUM"
            assert float(measured.NumericValue) == measured.FloatingPointValue
            found[name_of(item)[0]] = float(measured.NumericValue), unit.CodeValue
    return found


def said_in(container: Dataset, value_type: str = "CODE") -> dict[str, Any]:
    """Return what is said in a container by its code: code values, or texts (several as a list)."""
    found: dict[str, Any] = {}
    for item in container.ContentSequence:
        if item.ValueType == value_type and item.RelationshipType == "CONTAINS":
            name = name_of(item)[0]
            if value_type == "CODE":
                assert name not in found
                found[name] = item.ConceptCodeSequence[0].CodeValue
            else:
                found.setdefault(name, []).append(item.TextValue)
    return found


def whole_in(ds: Dataset) -> Dataset:
    """Return the container of what is said of the whole study."""
    return next(item for item in items(ds) if name_of(item) == ("C0034375", "UMLS"))


def code_of_cell(cell: Mapping[str, Any]) -> str:
    """Return the code of a cell of ``grades.json``."""
    return SHORT[cell["condition"]] + (f"-{cell['side'][0].upper()}" if cell["side"] else "")
