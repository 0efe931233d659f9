"""levels.json: what was found of each level, rounded; a level outside the image has no points."""

from __future__ import annotations

from stenograde.report.as_levels_json import NamedLevel, as_levels_json, as_picture_levels_json


def test_levels_of_a_volume_have_their_points_in_patient_space() -> None:
    seen = NamedLevel("L5/S1", certain=True, places={"point": (1.00049, -2.0, 3.0), "disc_centre": (4, 5, 6)})
    assert as_levels_json([NamedLevel("L4/L5"), seen], ["a doubt"]) == {
        "schema": "stenograde/levels/1",
        "space": "lps_mm",
        "levels": [
            {"name": "L4/L5", "imaged": False, "certain": False},
            {
                "name": "L5/S1",
                "imaged": True,
                "certain": True,
                "point_lps_mm": [1.0, -2.0, 3.0],
                "disc_centre_lps_mm": [4.0, 5.0, 6.0],
            },
        ],
        "doubts": ["a doubt"],
    }


def test_discs_of_a_picture_are_certain_only_without_a_doubt() -> None:
    discs = [("L5/S1", 2.5049, 3.0)]
    sure, unsure = (as_picture_levels_json(discs, doubts) for doubts in ((), ("the sacrum was not seen",)))
    assert sure["space"] == "row_column_px"
    assert sure["levels"] == [{"name": "L5/S1", "certain": True, "row": 2.5, "column": 3.0}]
    assert not unsure["levels"][0]["certain"]
