"""The phantom's series read by SimpleITK have the geometry that was planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stenograde.phantom import Protocol, write_cohort
from stenograde.terms import Role

sitk = pytest.importorskip("SimpleITK")


def test_simpleitk_reads_the_planned_geometry(tmp_path: Path) -> None:
    protocol = Protocol(
        sagittal_matrix=32, sagittal_slices=13, axial_matrix=24, axial_slices_per_level=3, layers=1
    )
    study = write_cohort(tmp_path, patients=1, seed=6, protocol=protocol).studies[0]
    for number, plan in enumerate(study.plans):
        count = 3 if plan.role is Role.AXIAL_T2 else len(plan.planes)
        planes = sorted(plan.planes[:count], key=lambda plane: float(plane.position @ plane.normal))
        folder = study.folder / str(study.ids.series[number])
        order = [plan.planes.index(plane) + 1 for plane in planes]
        image = sitk.ReadImage([str(folder / f"{k}.dcm") for k in order])
        far = np.array(planes[-1].position) + planes[-1].orientation[:3] * planes[-1].pixel_mm * 5
        assert image.TransformContinuousIndexToPhysicalPoint((5.0, 0.0, float(count - 1))) == pytest.approx(
            far.tolist(), abs=1e-4
        )
        assert image.GetSpacing()[2] == pytest.approx(protocol.step_mm, abs=1e-4)
