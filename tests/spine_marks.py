"""Marks of a made-up spine as a perfect locator would give them, with the answers known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from stenograde import geometry
from stenograde.levels.marked import MarkedVolume
from stenograde.terms import Structure

Array = NDArray[np.float64]

GRID_MM = 0.6
FIELD_MM = (240.0, 132.0)
"""Rows and columns of the field of view, mm."""

DISC_ROWS_MM = {"L5/S1": 196.0, "L4/L5": 161.0, "L3/L4": 126.0, "L2/L3": 91.0, "L1/L2": 57.0, "T12/L1": 25.0}
"""Height of each disc's middle below the top of the image, mm."""

DISC_TILT_DEG = {"L5/S1": -18.0, "L4/L5": -6.0, "L3/L4": 0.0, "L2/L3": 3.0, "L1/L2": 5.0, "T12/L1": 4.0}
"""Tilt of each disc against the normal of the canal, degrees; positive with the back end lower."""

DISC_LENGTH_MM = 34.0
DISC_HEIGHT_MM = 9.0
DISC_HALF_WIDTH_MM = 22.0
CANAL_HALF_WIDTH_MM = 10.0
CANAL_MM = 14.0
"""Anteroposterior diameter of the canal where nothing narrows it."""

NARROWING_MM = 5.0
"""Half the length of a narrowing along the canal at its half depth."""

SAGITTAL = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Columns: directions of growing slices (to the right), rows (to the feet) and columns (to the back), LPS."""


@dataclass(frozen=True)
class Spine:
    """A spine that can be marked; heights are mm below the top of the image."""

    diameters: Mapping[str, float] = field(default_factory=dict)
    """Canal diameter at a disc where it is not :data:`CANAL_MM`, mm."""
    scoliosis_mm: float = 0.0
    """Amplitude of the canal's swing from side to side, mm."""
    aside_mm: float = 0.0
    """How far the canal lies towards higher slices from the middle slice, mm."""
    slice_mm: float = 4.0
    n_slices: int = 11
    heat: Mapping[str, float] = field(default_factory=dict)
    """Height of a disc's heat where it is not 0.9."""
    sacral: Mapping[str, float] = field(default_factory=lambda: {"L5/S1": 0.9})
    """Heat of the lumbosacral disc."""
    sacrum_below: str = "L5/S1"
    """Disc below which bone is the sacrum, which a locator does not mark."""
    unmarked: tuple[str, ...] = ()
    """Discs without disc probability."""
    lengths: Mapping[str, float] = field(default_factory=dict)
    """Length of a disc where it is not :data:`DISC_LENGTH_MM`, mm."""
    heights: Mapping[str, float] = field(default_factory=dict)
    """Height of a disc where it is not :data:`DISC_HEIGHT_MM`, mm."""
    flatness: float = 4.0
    """Of the canal's cross-section: 2 is an ellipse, 4 as deep at 4 mm beside the middle as in it."""
    taper: float = 0.0
    """Diameter lost per mm below L4/L5."""
    cut_above_mm: float = 0.0
    """The field of view begins here."""
    cut_below_mm: float = FIELD_MM[0]
    """The field of view ends here."""

    def __hash__(self) -> int:
        return hash(repr(self))

    # --- what is true -----------------------------------------------------------------------------------

    def canal_column_mm(self, row_mm: Array) -> Array:
        """Middle of the canal, mm from the front edge: a lordosis."""
        return 78.0 - 9.0 * np.sin(2 * np.pi * (row_mm - 30.0) / 230.0)

    def aside(self, row_mm: Array) -> Array:
        """Lateral place of the canal, mm towards higher slices from the middle slice."""
        return self.aside_mm + self.scoliosis_mm * np.sin(2 * np.pi * row_mm / 220.0)

    @cached_property
    def line(self) -> Array:
        """Centre line of the canal every 0.1 mm of height, shape (n, 2): row and column, mm."""
        rows = np.arange(-20.0, FIELD_MM[0] + 20.0, 0.1)
        return np.column_stack([rows, self.canal_column_mm(rows)])

    @cached_property
    def normals(self) -> Array:
        """Unit normals of the line to the back, shape (n, 2)."""
        tangent = np.gradient(self.line, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        return np.column_stack([-tangent[:, 1], tangent[:, 0]])

    def behind(self, name: str) -> int:
        """Index of the line at the height of a disc."""
        return int(np.argmin(np.abs(self.line[:, 0] - DISC_ROWS_MM[name])))

    @cached_property
    def diameter(self) -> Array:
        """Canal diameter along the line, mm."""
        value = np.full(len(self.line), CANAL_MM)
        for name, narrow in self.diameters.items():
            away = self.line[:, 0] - DISC_ROWS_MM[name]
            value -= (CANAL_MM - narrow) * np.exp(-np.log(2) * (away / NARROWING_MM) ** 2)
        return value - self.taper * np.clip(self.line[:, 0] - DISC_ROWS_MM["L4/L5"], 0, None)

    def disc_axis(self, name: str) -> Array:
        """Unit vector along a disc to the back, (row, column)."""
        tilt = np.deg2rad(DISC_TILT_DEG[name])
        row, column = self.normals[self.behind(name)]
        return np.array(
            [row * np.cos(tilt) + column * np.sin(tilt), column * np.cos(tilt) - row * np.sin(tilt)]
        )

    def disc_length(self, name: str) -> float:
        return self.lengths.get(name, DISC_LENGTH_MM)

    def disc_margin(self, name: str) -> Array:
        """Middle of a disc's posterior margin, (row, column) mm: it touches the unnarrowed canal."""
        place = self.behind(name)
        return self.line[place] - self.normals[place] * (CANAL_MM / 2 + 1)

    def disc_middle(self, name: str) -> Array:
        """Centre of a disc, (row, column) mm."""
        return self.disc_margin(name) - self.disc_axis(name) * self.disc_length(name) / 2

    def to_patient(self, points_mm: Array, affine: Array) -> Array:
        """Map (row, column) mm on the curved mid-sagittal surface to LPS mm, shape (n, 3)."""
        points = np.atleast_2d(points_mm)
        slices = (self.n_slices - 1) / 2 + self.aside(points[:, 0]) / self.slice_mm
        rows = (points[:, 0] - self.cut_above_mm) / GRID_MM
        return geometry.to_patient(affine, np.column_stack([slices, rows, points[:, 1] / GRID_MM]))

    # --- what a locator says of it ----------------------------------------------------------------------

    @property
    def rows_mm(self) -> Array:
        return np.arange(self.cut_above_mm, self.cut_below_mm, GRID_MM)

    def marked(self, affine: Array | None = None) -> MarkedVolume:
        """Return the marks; without an affine in a plain sagittal frame."""
        shape = replace(self, heat={}, sacral={})
        return MarkedVolume(
            self.affine() if affine is None else affine, _probabilities(shape).copy(), _heat(self)
        )

    def affine(self, turn: Array | None = None, origin: tuple[float, float, float] = (0, 0, 0)) -> Array:
        """Affine of the grid, its axes turned by a rotation and its middle moved to an origin."""
        affine = np.eye(4)
        affine[:3, :3] = (np.eye(3) if turn is None else turn) @ SAGITTAL @ np.diag(self._spacing)
        size = (self.n_slices, len(self.rows_mm), round(FIELD_MM[1] / GRID_MM))
        affine[:3, 3] = np.asarray(origin) - affine[:3, :3] @ ((np.asarray(size) - 1) / 2)
        return affine

    @property
    def _spacing(self) -> tuple[float, float, float]:
        return self.slice_mm, GRID_MM, GRID_MM


def _grid(spine: Spine) -> tuple[Array, NDArray[np.float32]]:
    """Positions in the mid-sagittal plane, (rows, columns, 2), and how far beside the canal, (slices, rows, 1)."""
    columns_mm = np.arange(0, FIELD_MM[1] - 1e-6, GRID_MM)
    at = np.stack(np.meshgrid(spine.rows_mm, columns_mm, indexing="ij"), axis=-1)
    slices_mm = (np.arange(spine.n_slices) - (spine.n_slices - 1) / 2) * spine.slice_mm
    beside = slices_mm[:, None, None] - spine.aside(spine.rows_mm)[None, :, None]
    return at, beside.astype(np.float32)


def _along_and_across(spine: Spine, name: str, at: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    middle, axis = spine.disc_middle(name), spine.disc_axis(name)
    from_middle = at - middle
    along, across = from_middle @ axis, from_middle @ np.array([axis[1], -axis[0]])
    return along.astype(np.float32), across.astype(np.float32)


def _rows_near(spine: Spine, name: str) -> slice:
    near = np.flatnonzero(np.abs(spine.rows_mm - spine.disc_middle(name)[0]) < 20)
    return slice(near[0], near[-1] + 1) if near.size else slice(0)


@lru_cache(maxsize=16)
def _probabilities(spine: Spine) -> NDArray[np.float32]:
    at, beside = _grid(spine)
    away, nearest = cKDTree(spine.line).query(at.reshape(-1, 2))
    away, nearest = away.reshape(at.shape[:2]).astype(np.float32), nearest.reshape(at.shape[:2])
    radius = (spine.diameter[nearest] / 2).astype(np.float32)
    front_mm = -np.einsum("rcd,rcd->rc", at - spine.line[nearest], spine.normals[nearest]).astype(np.float32)
    flatness = spine.flatness
    roundness = np.clip(1 - np.abs(beside / CANAL_HALF_WIDTH_MM) ** flatness, 0, None) ** (1 / flatness)
    canal = np.clip(0.5 + roundness * radius - away, 0, 1) * (np.abs(beside) < CANAL_HALF_WIDTH_MM)
    wide = np.clip(DISC_HALF_WIDTH_MM + 0.5 - np.abs(beside), 0, 1)
    flat = np.zeros(at.shape[:2], np.float32)
    for name in DISC_ROWS_MM:
        if name not in spine.unmarked:
            rows = _rows_near(spine, name)
            along, across = _along_and_across(spine, name, at[rows])
            slab = np.clip(0.5 + spine.disc_length(name) / 2 - np.abs(along), 0, 1)
            slab *= np.clip(0.5 + spine.heights.get(name, DISC_HEIGHT_MM) / 2 - np.abs(across), 0, 1)
            flat[rows] = np.maximum(flat[rows], slab)
    disc = np.minimum(flat * wide, 1 - canal)
    gap = CANAL_MM / 2 + 1
    # vertebrae less deep than discs, so that no bone bridges a disc that is tilted
    body = np.clip(0.5 + front_mm - gap - 3, 0, 1) * np.clip(gap + DISC_LENGTH_MM - 6 - front_mm, 0, 1)
    _, below = _along_and_across(spine, spine.sacrum_below, at)
    body = body * np.clip(0.5 - below, 0, 1)
    vertebra = np.minimum(body * wide, 1 - canal - disc)
    background = 1 - canal - disc - vertebra
    classes = {Structure.VERTEBRA: vertebra, Structure.DISC: disc, Structure.CANAL: canal}
    return np.stack([background, *(classes[structure] for structure in Structure)], axis=1)


def _heat(spine: Spine) -> NDArray[np.float32]:
    at, beside = _grid(spine)
    heat = np.zeros((spine.n_slices, 2, *at.shape[:2]), np.float32)
    for name in DISC_ROWS_MM:
        rows = _rows_near(spine, name)
        along, across = _along_and_across(spine, name, at[rows])
        peak = np.exp(-(along**2 + across**2) / (2 * 3.5**2)) * np.exp(-((beside[:, rows] / 15) ** 2) / 2)
        for channel, height in enumerate((spine.heat.get(name, 0.9), spine.sacral.get(name, 0.0))):
            heat[:, channel, rows] = np.maximum(heat[:, channel, rows], height * peak)
    return heat


def turned(degrees: tuple[float, float, float]) -> Array:
    """Rotation about x, then y, then z, degrees."""
    x, y, z = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
