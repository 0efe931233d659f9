"""Writing of a cohort of neck phantoms: radiographs as DICOM, with the regions and tables for recipe S2."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stenograde.phantom.files.dicom_files import StudyIds
from stenograde.phantom.files.tables import patient_seed, write_table
from stenograde.phantom.neck.dicom_files import write_film
from stenograde.phantom.neck.film import FilmPlan, FilmProtocol, plan_film, take_film
from stenograde.phantom.neck.patient import NeckPhantom, make_neck
from stenograde.phantom.neck.population import Population
from stenograde.phantom.neck.views import View
from stenograde.terms import CERVICAL_XRAY, Severity
from stenograde.workers import Progress, counted, in_processes

IMAGES, REGIONS, MANIFEST, LABELS = "images", "regions", "foramina.csv", "labels.csv"
"""Names within the folder of a cohort."""

STENOSIS, NO_STENOSIS = "stenosis", "no_stenosis"
"""Classes of a region: Moderate or Severe, and Normal/Mild. The document of S2 has two classes and does not say where
it draws the line."""

MANIFEST_COLUMNS: Final = (
    "path",
    "label",
    "patient",
    "level",
    "side",
    "view",
    "severity",
    "width_mm",
    "height_mm",
    "area_mm2",
    "narrowing",
    "film",
    "row",
    "column",
)
"""Columns, with one row per foramen and the film that shows it open; row and column locate its middle on the film."""

_DIGITS = 3


@dataclass(frozen=True)
class RegionConfig:
    """Crop around a foramen, with the errors of someone locating it.

    Raises
    ------
    ValueError
        If a length is not above zero or an error negative.
    """

    edge_mm: float = 42.0
    """Edge of the square, measured at the spine: two and a half levels."""
    shift_mm: float = 2.0
    """Standard deviation of the position, along rows and along columns."""
    zoom: float = 0.10
    """Greatest deviation of the size, as a fraction."""

    def __post_init__(self) -> None:
        if self.edge_mm <= 0 or self.shift_mm < 0 or not 0 <= self.zoom < 1:
            msg = f"a region must have an edge above 0 and errors of at least 0, got {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class NeckCohort:
    """Contents of a cohort of neck phantoms.

    Raises
    ------
    ValueError
        If there is no view.
    """

    views: tuple[View, ...] = (View.AP, View.LATERAL, View.RPO, View.LPO)
    """Views of each patient; obliques also give regions."""
    population: Population = field(default_factory=Population)
    protocol: FilmProtocol = field(default_factory=FilmProtocol)
    region: RegionConfig = field(default_factory=RegionConfig)

    def __post_init__(self) -> None:
        if not self.views or len(set(self.views)) < len(self.views):
            msg = f"views must be one or more different ones, got {', '.join(self.views) or 'none'}"
            raise ValueError(msg)


@dataclass(frozen=True)
class WrittenNeck:
    """One patient on disk: its study number and its rows of the two tables."""

    study: int
    labels: tuple[str, ...]
    """Severity of each cell of the cervical scheme, as displayed."""
    regions: tuple[tuple[str, ...], ...]
    """Values of :data:`MANIFEST_COLUMNS`."""


def write_necks(
    out: Path,
    *,
    patients: int,
    seed: int,
    progress: Progress | None = None,
    workers: int = 1,
    config: NeckCohort | None = None,
) -> tuple[WrittenNeck, ...]:
    """Write neck phantoms as DICOM films with labels and regions; the same seed gives the same bytes.

    Parameters
    ----------
    out : Path
        Receives ``images/<study>/<view>.dcm``, ``regions/<class>/<study>_<view>_<level>.png``, ``foramina.csv`` and
        ``labels.csv``.
    patients : int
        Number of patients.
    seed : int
        Zero or more.
    progress : callable, optional
        Counts the patients.
    workers : int
        Number of processes that write at the same time; the files do not depend on it.
    config : NeckCohort, optional

    Raises
    ------
    ValueError
        If a number is out of range, or ``out`` already holds a cohort.
    """
    if patients < 1 or seed < 0 or workers < 1:
        msg = (
            f"patients and workers must be at least 1 and seed at least 0, got {patients}, {workers}, {seed}"
        )
        raise ValueError(msg)
    for name in (IMAGES, REGIONS):
        if (out / name).exists() and any((out / name).iterdir()):
            msg = f"{name} must be absent or empty, got a cohort already there; choose another folder"
            raise ValueError(msg)
    config = config or NeckCohort()
    each = 1 + len(config.views)
    numbers = np.random.default_rng([seed, 0]).choice(4_000_000_000, size=patients * each, replace=False)
    own = [tuple(int(n) + 100_000_000 for n in numbers[k * each : (k + 1) * each]) for k in range(patients)]
    for name in (NO_STENOSIS, STENOSIS):
        (out / REGIONS / name).mkdir(parents=True, exist_ok=True)
    write = partial(_write_neck, out, config, seed)
    written = tuple(counted(in_processes(write, enumerate(own), workers), "patients", patients, progress))
    cells = [cell.name for cell in CERVICAL_XRAY.cells]
    write_table(out / LABELS, ["study_id", *cells], ([n.study, *n.labels] for n in written))
    write_table(out / MANIFEST, MANIFEST_COLUMNS, (row for neck in written for row in neck.regions))
    return written


def _write_neck(out: Path, config: NeckCohort, seed: int, job: tuple[int, tuple[int, ...]]) -> WrittenNeck:
    number, numbers = job
    ids = StudyIds(numbers[0], numbers[1:])
    phantom = make_neck(patient_seed(seed, number), population=config.population)
    regions: list[tuple[str, ...]] = []
    for place, view in enumerate(config.views):
        rng = np.random.default_rng([phantom.seed, 1, tuple(View).index(view)])
        plan = plan_film(view, config.protocol, rng)
        film = take_film(phantom, plan, rng)
        path = out / IMAGES / str(ids.study) / f"{view.value}.dcm"
        write_film(path, plan, film, ids=ids, number=place)
        regions += _write_regions(out, path, film, (phantom, plan, config.region), rng)
    labels = tuple(phantom.severity(cell).shown for cell in CERVICAL_XRAY.cells)
    return WrittenNeck(ids.study, labels, tuple(regions))


def _write_regions(
    out: Path,
    path: Path,
    film: NDArray[np.uint16],
    shown: tuple[NeckPhantom, FilmPlan, RegionConfig],
    rng: np.random.Generator,
) -> list[tuple[str, ...]]:
    """Crop and write the region of each foramen that a film shows open; return their rows of the manifest."""
    phantom, plan, config = shown
    rows: list[tuple[str, ...]] = []
    side = plan.view.foramina
    for level in CERVICAL_XRAY.levels if side else ():
        assert side is not None
        truth = phantom.foramina[level, side]
        row, column = plan.index(np.array(truth.centre))
        region = cut_region(film, (row, column), plan, config, rng)
        label = NO_STENOSIS if truth.severity is Severity.NORMAL_MILD else STENOSIS
        study = path.parent.name
        name = f"{REGIONS}/{label}/{study}_{plan.view.value}_{level.value}.png"
        Image.fromarray(region).save(out / name)
        figures = (truth.width_mm, truth.height_mm, truth.area_mm2, truth.narrowing)
        rows.append(
            (
                *(name, label, study, level.shown, side.value, plan.view.value, truth.severity.value),
                *(f"{figure:.{_DIGITS}f}" for figure in figures),
                path.relative_to(out).as_posix(),
                *(f"{place:.2f}" for place in (row, column)),
            )
        )
    return rows


def cut_region(
    film: NDArray[np.uint16],
    place: tuple[float, float],
    plan: FilmPlan,
    config: RegionConfig,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the square around a point of a film, 8 bits; outside the film, its border is repeated.

    Parameters
    ----------
    film : ndarray of shape (rows, columns), uint16
    place : tuple of float
        Row and column of the middle of the foramen.
    plan : FilmPlan
    config : RegionConfig
    rng : numpy.random.Generator
        Source of the errors of position and size.
    """
    pixel = plan.protocol.patient_pixel_mm
    row, column = np.array(place) + rng.normal(0, config.shift_mm, 2) / pixel
    edge = config.edge_mm * float(rng.uniform(1 - config.zoom, 1 + config.zoom)) / pixel
    picks = [
        np.clip(np.arange(round(at - edge / 2), round(at - edge / 2) + round(edge)), 0, n - 1)
        for at, n in zip((row, column), film.shape, strict=True)
    ]
    return (film[np.ix_(*picks)] >> 4).astype(np.uint8)
