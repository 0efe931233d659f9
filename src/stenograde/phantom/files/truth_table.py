"""The continuous truth of phantoms as a table, for regression, measurements and reader noise."""

from __future__ import annotations

from stenograde.phantom.body.patient import LevelTruth, Phantom
from stenograde.terms import Side

TRUTH_HEAD = (
    "study_id",
    "level",
    *(f"{point}_{axis}_mm" for point in ("disc", "canal") for axis in "xyz"),
    "sac_ap_mm",
    "sac_area_mm2",
    *(
        f"{side.value}_{name}"
        for side in Side
        for name in (
            "recess_height_mm",
            "foraminal_area_mm2",
            "fat_across_mm",
            "fat_along_mm",
            "root_share",
        )
    ),
    "transition",
)
"""Columns of ``truth.csv``: centres of disc and dural sac in LPS mm, then the sizes that stenosis leaves open, then the
patient's transitional vertebra."""


def truth_rows(study: int, phantom: Phantom) -> list[list[object]]:
    """Return one row per level of a phantom, in the columns of :data:`TRUTH_HEAD`."""
    return [
        [study, level.value, *_values(truth), phantom.anatomy.transition.value]
        for level, truth in phantom.levels.items()
    ]


def _values(truth: LevelTruth) -> list[str]:
    values = [*truth.disc_centre, *truth.canal_centre, truth.sac_ap_mm, truth.sac_area_mm2]
    for side in Side:
        foramen = truth.foramina[side]
        values += [truth.recess_height_mm[side], truth.foraminal_area_mm2[side]]
        values += [foramen.fat_across_mm, foramen.fat_along_mm, foramen.root_share]
    return [f"{value:.4f}" for value in values]
