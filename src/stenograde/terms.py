"""The field's words, each once: levels, conditions, severities, series, quantities, cells, schemes.

A cell is one (condition, level, side) that receives one severity. The order of cells exists here only,
in :data:`LUMBAR_MRI` and :data:`CERVICAL_XRAY`. Levels are intervertebral disc levels, named by the two
vertebrae that the disc joins. Sides are the patient's. Severities are those of the RSNA 2024 Lumbar Spine
Degenerative Classification data set; its "Normal/Mild" is a merged grade and never means "normal".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Region(StrEnum):
    """Part of the spine."""

    CERVICAL = "cervical"
    LUMBAR = "lumbar"


class BodyPart(StrEnum):
    """Part of the body that the header of a series or study names; the value is the text people read."""

    LUMBAR_SPINE = "lumbar spine"
    CERVICAL_SPINE = "cervical spine"
    THORACIC_SPINE = "thoracic spine"
    WHOLE_SPINE = "whole spine"
    SACRUM = "sacrum"
    HEAD = "head"
    NECK = "neck"
    TRUNK = "chest or abdomen"
    PELVIS = "pelvis or hip"
    KNEE = "knee"
    LIMB = "limb"


class Level(StrEnum):
    """Intervertebral disc level; the value is the stored text, :attr:`shown` the text people read."""

    C2_C3 = "c2_c3"
    C3_C4 = "c3_c4"
    C4_C5 = "c4_c5"
    C5_C6 = "c5_c6"
    C6_C7 = "c6_c7"
    C7_T1 = "c7_t1"
    L1_L2 = "l1_l2"
    L2_L3 = "l2_l3"
    L3_L4 = "l3_l4"
    L4_L5 = "l4_l5"
    L5_S1 = "l5_s1"

    @property
    def shown(self) -> str:
        """Text for people.

        Examples
        --------
        >>> Level.L4_L5.shown
        'L4/L5'
        """
        return self.value.upper().replace("_", "/")

    @classmethod
    def parse(cls, text: str) -> Level:
        """Read a level from its stored or shown text.

        Raises
        ------
        ValueError
            If the text names no level.

        Examples
        --------
        >>> Level.parse("L5/S1")
        <Level.L5_S1: 'l5_s1'>
        """
        try:
            return cls(text.strip().lower().replace("/", "_"))
        except ValueError as exc:
            msg = f"level must be one of {', '.join(level.shown for level in cls)}, got {text!r}"
            raise ValueError(msg) from exc


class Condition(StrEnum):
    """What is graded, in the words of RSNA 2024."""

    SPINAL_CANAL_STENOSIS = "spinal_canal_stenosis"
    NEURAL_FORAMINAL_NARROWING = "neural_foraminal_narrowing"
    SUBARTICULAR_STENOSIS = "subarticular_stenosis"

    @property
    def shown(self) -> str:
        """Text for people.

        Examples
        --------
        >>> Condition.SPINAL_CANAL_STENOSIS.shown
        'Spinal canal stenosis'
        """
        return self.value.replace("_", " ").capitalize()

    @property
    def marked_in(self) -> Role:
        """Role of the series in which the readers of RSNA 2024 marked it.

        Examples
        --------
        >>> Condition.NEURAL_FORAMINAL_NARROWING.marked_in.shown
        'Sagittal T1'
        """
        return {
            Condition.SPINAL_CANAL_STENOSIS: Role.SAGITTAL_T2_STIR,
            Condition.NEURAL_FORAMINAL_NARROWING: Role.SAGITTAL_T1,
            Condition.SUBARTICULAR_STENOSIS: Role.AXIAL_T2,
        }[self]


class Side(StrEnum):
    """The patient's side; image left is never meant."""

    LEFT = "left"
    RIGHT = "right"


class Severity(StrEnum):
    """Severity of a stenosis, in ascending order; :attr:`NORMAL_MILD` is one merged grade."""

    NORMAL_MILD = "normal_mild"
    MODERATE = "moderate"
    SEVERE = "severe"

    @property
    def shown(self) -> str:
        """Text for people.

        Examples
        --------
        >>> Severity.NORMAL_MILD.shown
        'Normal/Mild'
        """
        return {"normal_mild": "Normal/Mild", "moderate": "Moderate", "severe": "Severe"}[self.value]

    @property
    def rank(self) -> int:
        """Place in ascending order, from 0.

        Examples
        --------
        >>> Severity.SEVERE.rank
        2
        """
        return tuple(Severity).index(self)


class Plane(StrEnum):
    """Anatomical plane that slices lie nearest to."""

    SAGITTAL = "sagittal"
    AXIAL = "axial"
    CORONAL = "coronal"


class Weighting(StrEnum):
    """What the contrast of an MR series is weighted to."""

    T1 = "T1"
    T2 = "T2"
    STIR = "STIR"
    PD = "PD"


class Role(StrEnum):
    """What a series is used for in a lumbar MRI study; the names are those of RSNA 2024."""

    SAGITTAL_T1 = "sagittal_t1"
    SAGITTAL_T2_STIR = "sagittal_t2_stir"
    AXIAL_T2 = "axial_t2"

    @property
    def shown(self) -> str:
        """Text for people, as in the file ``train_series_descriptions.csv`` of RSNA 2024.

        Examples
        --------
        >>> Role.SAGITTAL_T2_STIR.shown
        'Sagittal T2/STIR'
        """
        return {"sagittal_t1": "Sagittal T1", "sagittal_t2_stir": "Sagittal T2/STIR", "axial_t2": "Axial T2"}[
            self.value
        ]


class Structure(StrEnum):
    """What the locator marks in a picture; :attr:`code` is the value in a mask, 0 being background."""

    VERTEBRA = "vertebra"
    DISC = "disc"
    CANAL = "canal"

    @property
    def code(self) -> int:
        """Value in a mask.

        Examples
        --------
        >>> [structure.code for structure in Structure]
        [1, 2, 3]
        """
        return tuple(Structure).index(self) + 1


class Unit(StrEnum):
    """Unit of a quantity; the value is its code in UCUM, :attr:`shown` the text people read.

    References
    ----------
    The Unified Code for Units of Measure, https://ucum.org.
    """

    MM = "mm"
    MM2 = "mm2"
    ONE = "1"
    """A ratio has no unit."""

    @property
    def shown(self) -> str:
        """Text for people; empty for a ratio.

        Examples
        --------
        >>> [unit.shown for unit in Unit]
        ['mm', 'mm²', '']
        """
        return {"mm": "mm", "mm2": "mm²", "1": ""}[self.value]


class Quantity(StrEnum):
    """What is measured at a level; the value is the stored text, :attr:`shown` the text people read."""

    CANAL_AP_DIAMETER = "canal_ap_diameter"
    CANAL_AP_DIAMETER_ABOVE = "canal_ap_diameter_above"
    CANAL_AP_DIAMETER_BELOW = "canal_ap_diameter_below"
    CANAL_AP_RATIO = "canal_ap_ratio"
    CSF_SIGNAL_RATIO = "csf_signal_ratio"
    DISC_HEIGHT = "disc_height"
    DURAL_SAC_AREA = "dural_sac_area"
    FORAMINAL_AREA = "foraminal_area"
    FORAMINAL_FAT_AREA = "foraminal_fat_area"
    RECESS_HEIGHT = "recess_height"

    @property
    def unit(self) -> Unit:
        """Unit of its values.

        Examples
        --------
        >>> Quantity.DURAL_SAC_AREA.unit
        <Unit.MM2: 'mm2'>
        """
        if self.value.endswith("_area"):
            return Unit.MM2
        return Unit.ONE if self.value.endswith("_ratio") else Unit.MM

    @property
    def shown(self) -> str:
        """Text for people.

        Examples
        --------
        >>> Quantity.CANAL_AP_RATIO.shown
        'Canal AP ratio'
        """
        first, *others = self.value.split("_")
        words = ["CSF" if first == "csf" else first.capitalize(), *others]
        return " ".join("AP" if word == "ap" else word for word in words)


@dataclass(frozen=True, order=True)
class Cell:
    """One (condition, level, side) that receives one severity."""

    condition: Condition
    level: Level
    side: Side | None = None

    @property
    def name(self) -> str:
        """Stored name, as the columns of ``train.csv`` of RSNA 2024.

        Examples
        --------
        >>> Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L4_L5, Side.LEFT).name
        'left_neural_foraminal_narrowing_l4_l5'
        """
        side = f"{self.side.value}_" if self.side else ""
        return f"{side}{self.condition.value}_{self.level.value}"

    @classmethod
    def parse(cls, name: str) -> Cell:
        """Read a cell from its stored name.

        Raises
        ------
        ValueError
            If the name is not that of a cell.

        Examples
        --------
        >>> Cell.parse("spinal_canal_stenosis_l1_l2").level.shown
        'L1/L2'
        """
        for side in (None, *Side):
            for condition in Condition:
                stem = f"{side.value}_{condition.value}_" if side else f"{condition.value}_"
                if name.startswith(stem):
                    return cls(condition, Level.parse(name.removeprefix(stem)), side)
        msg = f"cell must be named [side_]condition_level, got {name!r}"
        raise ValueError(msg)


@dataclass(frozen=True)
class Scheme:
    """An ordered set of cells that a study is graded by."""

    name: str
    region: Region
    levels: tuple[Level, ...]
    cells: tuple[Cell, ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Conditions of its cells, in their order."""
        return tuple(dict.fromkeys(cell.condition for cell in self.cells))

    def of(self, condition: Condition) -> tuple[Cell, ...]:
        """Cells of one condition, in the scheme's order."""
        return tuple(cell for cell in self.cells if cell.condition is condition)

    def at(self, level: Level) -> tuple[Cell, ...]:
        """Cells of one level, in the scheme's order.

        Examples
        --------
        >>> [cell.side.value if cell.side else "-" for cell in LUMBAR_MRI.at(Level.L4_L5)]
        ['-', 'left', 'right', 'left', 'right']
        """
        return tuple(cell for cell in self.cells if cell.level is level)


_LUMBAR = (Level.L1_L2, Level.L2_L3, Level.L3_L4, Level.L4_L5, Level.L5_S1)
_CERVICAL = (Level.C2_C3, Level.C3_C4, Level.C4_C5, Level.C5_C6, Level.C6_C7, Level.C7_T1)

LUMBAR_MRI = Scheme(
    name="lumbar_mri",
    region=Region.LUMBAR,
    levels=_LUMBAR,
    cells=(
        *(Cell(Condition.SPINAL_CANAL_STENOSIS, level) for level in _LUMBAR),
        *(
            Cell(condition, level, side)
            for condition in (Condition.NEURAL_FORAMINAL_NARROWING, Condition.SUBARTICULAR_STENOSIS)
            for side in Side
            for level in _LUMBAR
        ),
    ),
)
"""The 25 cells of RSNA 2024, in the column order of its ``train.csv``."""

CERVICAL_XRAY = Scheme(
    name="cervical_xray",
    region=Region.CERVICAL,
    levels=_CERVICAL,
    cells=tuple(
        Cell(Condition.NEURAL_FORAMINAL_NARROWING, level, side) for side in Side for level in _CERVICAL
    ),
)
"""Foraminal stenosis per cervical level and side, as oblique radiographs show it."""

SCHEMES = {scheme.name: scheme for scheme in (LUMBAR_MRI, CERVICAL_XRAY)}
"""Schemes by name."""


@dataclass(frozen=True)
class Unused:
    """A file or series that was left out, and why."""

    what: str
    """File (path relative to the study), or ``series`` and its UID."""

    why: str
    """Reason, as a phrase."""
