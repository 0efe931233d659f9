"""The drawn study and its grades that the report's tests are made of: no patient, no file, no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stenograde.grades import (
    BundleStamp,
    CanalProfile,
    CellGrade,
    DiscFinding,
    DiscFindings,
    DiscScore,
    Evidence,
    LevelPosition,
    Measurement,
    MidSagittal,
    Outline,
    Probabilities,
    SecondOpinion,
    SeriesUse,
    Status,
    StudyGrades,
)
from stenograde.study import Series, Study, Volume
from stenograde.terms import (
    LUMBAR_MRI,
    Condition,
    Level,
    Plane,
    Quantity,
    Role,
    Side,
    Structure,
    Unused,
    Weighting,
)

STUDY_UID = "2.25.100"
T2_UID, T1_UID, AXIAL_UID = "2.25.101", "2.25.102", "2.25.103"
NOT_YET = "the bundle grades the spinal canal only"

DISC_Z = dict(zip(LUMBAR_MRI.levels, (72.0, 36.0, 0.0, -36.0, -71.0), strict=True))
"""Height of each disc, mm."""

AP_MM = dict(zip(LUMBAR_MRI.levels, (16.2, 14.9, 11.4, 7.8, 14.1), strict=True))
"""Canal diameter at each disc, mm."""

SHARES = dict(
    zip(
        LUMBAR_MRI.levels,
        (
            (0.97, 0.02, 0.01),
            (0.93, 0.05, 0.02),
            (0.3, 0.52, 0.18),
            (0.04, 0.13, 0.83),
            (0.995, 0.004, 0.001),
        ),
        strict=True,
    )
)


SECOND = {
    Level.L3_L4: SecondOpinion("the canal's measurements", Probabilities((0.05, 0.15, 0.8)), 0.87, False),
    Level.L4_L5: SecondOpinion("the canal's measurements", Probabilities((0.7, 0.25, 0.05)), -1.44, True),
}
"""Second opinions: one that agrees and one that does not."""


def front_of_canal(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return y of the back of the vertebral bodies: a gentle lordosis, mm."""
    return 22.0 - 16.0 * np.cos(np.asarray(z) / 85.0) + 0.04 * np.asarray(z)


def diameter_mm(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the canal's diameter at a height, mm."""
    z = np.asarray(z, np.float64)
    return 16.5 - sum(
        (16.5 - AP_MM[level]) * np.exp(-(((z - at) / 8.0) ** 2)) for level, at in DISC_Z.items()
    )


def centre(z: float) -> tuple[float, float, float]:
    """Return the centre of the canal at a height, LPS mm."""
    return 0.0, float(front_of_canal(z) + 2 + diameter_mm(z) / 2), float(z)


def intensity(points: NDArray[np.float64], *, bright_csf: bool) -> NDArray[np.float32]:
    """Return how bright points (..., 3) of the drawn spine are."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    front, ap = front_of_canal(z), diameter_mm(z)
    depth = front - y
    to_disc = np.min(np.abs(z[..., None] - np.array(list(DISC_Z.values()))), axis=-1)
    picture = 180 + 60 * np.sin(y / 9) * np.cos(x / 11) + np.where(y > front + 32, 260, 0)
    body = (depth > 0) & (depth < 34) & (np.abs(x) < 24)
    picture = np.where(body, 330 + 25 * np.sin(z / 3) * np.cos(y / 4), picture)
    picture = np.where(body & (to_disc < 5), 130 + 120 * np.exp(-(((depth - 17) / 8) ** 2)), picture)
    picture = np.where((depth < 0) & (y < front + 30) & (np.abs(x) < 20), 110, picture)
    canal = ((y - front - 2 - ap / 2) / (ap / 2)) ** 2 + (x / 10) ** 2 < 1
    nerves = 60 * np.sin(y * 3) * np.cos(x * 3)
    return np.where(canal, (780 if bright_csf else 90) - nerves, picture).astype(np.float32)


def volume(
    affine: NDArray[np.float64], shape: tuple[int, int, int], stem: str, *, bright_csf: bool
) -> Volume:
    """Return a volume that draws its slices when asked."""
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 14, shape[1:]).astype(np.float32)

    def source(indices: Sequence[int]) -> NDArray[np.float32]:
        rows, columns = np.mgrid[: shape[1], : shape[2]]
        slices = []
        for index in indices:
            voxels = np.stack([np.full_like(rows, index), rows, columns], axis=-1).astype(np.float64)
            points = voxels @ affine[:3, :3].T + affine[:3, 3]
            slices.append(intensity(points, bright_csf=bright_csf) + noise)
        return np.stack(slices)

    return Volume(affine, shape, tuple(f"{stem}.{index}" for index in range(shape[0])), source)


def sagittal_affine(n_slices: int, row_mm: float, column_mm: float) -> NDArray[np.float64]:
    """Return an affine with rows running to the feet and columns to the back, slices from right to left."""
    affine = np.eye(4)
    affine[:3, 0] = [-5.0, 0, 0]
    affine[:3, 1] = [0, 0, -row_mm]
    affine[:3, 2] = [0, column_mm, 0]
    affine[:3, 3] = [5.0 * (n_slices // 2), -70, 130]
    return affine


def axial_affine(level: Level, angle_degrees: float) -> NDArray[np.float64]:
    """Return an affine of three slices tilted with the disc."""
    tilt = np.deg2rad(angle_degrees)
    down = np.array([0, np.cos(tilt), np.sin(tilt)])
    affine = np.eye(4)
    affine[:3, 0] = 4.0 * np.cross([1.0, 0, 0], down)
    affine[:3, 1] = 0.5 * down
    affine[:3, 2] = [0.5, 0, 0]
    affine[:3, 3] = np.array(centre(DISC_Z[level])) - affine[:3, 0] - 70 * affine[:3, 1] - 80 * affine[:3, 2]
    return affine


def example_study() -> Study:
    """Return sagittal T2 and T1 and an axial T2 of four angled stacks (L1/L2 has none)."""
    sagittal = sagittal_affine(5, 0.9, 0.6)
    t2 = volume(sagittal, (5, 280, 250), "2.25.101", bright_csf=True)
    t1 = volume(sagittal, (5, 280, 250), "2.25.102", bright_csf=False)
    stacks = tuple(
        volume(axial_affine(level, angle), (3, 140, 160), f"2.25.103.{number}", bright_csf=True)
        for number, (level, angle) in enumerate(zip(LUMBAR_MRI.levels[1:], (-4, 0, 8, 24), strict=True))
    )
    return Study(
        STUDY_UID,
        (
            Series(T2_UID, Plane.SAGITTAL, Weighting.T2, Role.SAGITTAL_T2_STIR, "bright fluid", (t2,)),
            Series(T1_UID, Plane.SAGITTAL, Weighting.T1, Role.SAGITTAL_T1, "dark fluid", (t1,)),
            Series(AXIAL_UID, Plane.AXIAL, Weighting.T2, Role.AXIAL_T2, "axial, bright fluid", stacks),
        ),
    )


def example_grades() -> StudyGrades:
    """Return grades of the canal at five levels, with evidence, measurements and outlines."""
    return StudyGrades(
        study_uid=STUDY_UID,
        scheme=LUMBAR_MRI,
        bundle=BundleStamp("lumbar-1", "0.1.0", "9f2c4b7a" * 8),
        series=(
            SeriesUse(T2_UID, Role.SAGITTAL_T2_STIR, "sagittal by geometry; fluid is bright"),
            SeriesUse(T1_UID, Role.SAGITTAL_T1, "sagittal by geometry; TR 520 ms, TE 9 ms"),
            SeriesUse(AXIAL_UID, Role.AXIAL_T2, "axial by geometry; fluid is bright"),
        ),
        levels=tuple(
            LevelPosition(level, centre(z), imaged=True, certain=True) for level, z in DISC_Z.items()
        ),
        cells=_cells(),
        measurements=_measurements(),
        unused=(Unused("README.txt", "not a DICOM file"), Unused("series 2.25.104", "a localizer")),
        warnings=("No Manufacturer in any instance.",),
        seconds=4.21,
        mid_sagittal=_mid_sagittal(),
        discs=_discs(),
        disc_scores=(
            DiscScore("narrowing", 0.925, 0.9, 0.945, 0.62, 740, 148, 348),
            DiscScore("pfirrmann", 0.77, 0.72, 0.81, 0.1, 740, 148, 302),
        ),
        disc_source="a set of patients, CC BY 4.0",
    )


def _discs() -> tuple[DiscFindings, ...]:
    """One disc was guessed, one is uncertain in all that is asked of it."""
    shares = {
        Level.L1_L2: (0.02, (0.7, 0.2, 0.1, 0.0, 0.0), 1),
        Level.L2_L3: (0.3, (0.1, 0.5, 0.4, 0.0, 0.0), 2),
        Level.L3_L4: (0.55, (0.1, 0.3, 0.3, 0.3, 0.0), 3),
        Level.L4_L5: (0.93, (0.0, 0.0, 0.05, 0.2, 0.75), 5),
    }
    found = [
        DiscFindings(
            level,
            Status.GRADED,
            "",
            {DiscFinding.NARROWING: yes},
            grades,
            grade,
            (Evidence(T2_UID, f"{T2_UID}.2", 80.0, 60.0),),
        )
        for level, (yes, grades, grade) in shares.items()
    ]
    return (*found, DiscFindings(Level.L5_S1, Status.ABSTAINED, "the disc was not seen"))


def _cells() -> tuple[CellGrade, ...]:
    cells = []
    for cell in LUMBAR_MRI.cells:
        x, y, z = centre(DISC_Z[cell.level])
        if cell.condition is Condition.SPINAL_CANAL_STENOSIS:
            row, column = (130 - z) / 0.9, (y + 70) / 0.6
            evidence = [Evidence(T2_UID, f"{T2_UID}.2", row, column)]
            stack = LUMBAR_MRI.levels.index(cell.level) - 1
            if stack >= 0:
                evidence.append(Evidence(AXIAL_UID, f"{AXIAL_UID}.{stack}.1", 70.0, 80.0))
            grade = CellGrade(
                cell,
                Status.GRADED,
                probabilities=Probabilities(SHARES[cell.level]),
                point=(x, y, z),
                evidence=tuple(evidence),
                second_opinion=SECOND.get(cell.level),
            )
        else:
            aside = 9.0 if cell.condition is Condition.SUBARTICULAR_STENOSIS else 17.0
            x = aside if cell.side is Side.LEFT else -aside
            grade = CellGrade(cell, Status.NOT_GRADED, NOT_YET, point=(x, y - 4, z))
        cells.append(grade)
    return tuple(cells)


def _measurements() -> tuple[Measurement, ...]:
    items = []
    for level, z in DISC_Z.items():
        x, y, _ = centre(z)
        half = AP_MM[level] / 2
        items.append(
            Measurement(Quantity.CANAL_AP_DIAMETER, level, AP_MM[level], ((x, y - half, z), (x, y + half, z)))
        )
        items.append(Measurement(Quantity.CANAL_AP_RATIO, level, AP_MM[level] / 16.5, ()))
        front = float(front_of_canal(z)) - 17
        items.append(
            Measurement(Quantity.DISC_HEIGHT, level, 9.8, ((x, front, z + 4.9), (x, front, z - 4.9)))
        )
    items.append(Measurement(Quantity.DURAL_SAC_AREA, Level.L4_L5, 61.4, ()))
    items.append(Measurement(Quantity.DURAL_SAC_AREA, Level.L5_S1, 142.9, ()))
    return tuple(items)


def _mid_sagittal() -> MidSagittal:
    heights = np.arange(110.0, -100.0, -2.0)
    centres = np.array([centre(z) for z in heights])
    front = np.column_stack([0 * heights, front_of_canal(heights) + 2, heights])
    back = front + np.column_stack([0 * heights, diameter_mm(heights), 0 * heights])
    outlines = [Outline(Structure.CANAL, "", np.concatenate([front, back[::-1]]))]
    discs = list(DISC_Z.values())
    names = ("L1", "L2", "L3", "L4", "L5", "S1")
    for name, top, bottom in zip(names, [104.0, *discs], [*discs, -102.0], strict=True):
        outlines.append(Outline(Structure.VERTEBRA, name, _block(top - 5.5, bottom + 5.5)))
    for level, z in DISC_Z.items():
        outlines.append(Outline(Structure.DISC, level.shown, _block(z + 4.5, z - 4.5)))
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    diameters = diameter_mm(heights)
    diameters[-6:-3] = np.nan
    levels = tuple((level, float(np.interp(-z, -heights, way))) for level, z in DISC_Z.items())
    row, column = 130 / 0.9, 100 / 0.6
    return MidSagittal(
        Evidence(T2_UID, f"{T2_UID}.2", row, column),
        tuple(outlines),
        CanalProfile(way, diameters, centres, levels),
    )


def _block(top: float, bottom: float) -> NDArray[np.float64]:
    """Return the outline of a body between two heights, closed, LPS mm."""
    heights = np.linspace(top, bottom, 8)
    back = np.column_stack([0 * heights, front_of_canal(heights) - 1, heights])
    front = back - [0, 33, 0]
    return np.concatenate([front, back[::-1]])
