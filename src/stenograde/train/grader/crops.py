"""Crops of phantoms on disk, made once: rendered, cut like any study's, mapped into memory for training.

Each patient depends on the seed and its number alone, so making can be interrupted and resumed, in any number of
processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stenograde.files import keep_settings, whole_file
from stenograde.levels.crop import LIMIT, CropConfig, CropKind, crop_levels
from stenograde.phantom import (
    ContrastMode,
    Population,
    Protocol,
    ProtocolMix,
    make_patient,
)
from stenograde.terms import LUMBAR_MRI, Role, Side
from stenograde.train.grader.level_views import LocatorError, render_levels, true_levels
from stenograde.train.made_once import SETTINGS, protocol_in, settings_of
from stenograde.workers import Progress, counted, in_processes

STORED_PER_UNIT = 127 / LIMIT
"""Stored value of a crop's 1.0: crops are kept as whole numbers of 8 bits."""


class Part(StrEnum):
    """What phantoms are for; none is in two parts."""

    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"


@dataclass(frozen=True)
class CropsConfig:
    """Which phantoms, and how their crops are cut."""

    crops: CropConfig = field(default_factory=CropConfig)
    error: LocatorError = field(default_factory=LocatorError)
    contrasts: tuple[ContrastMode, ...] = (ContrastMode.RANDOMISED, ContrastMode.CLINICAL)
    """Each patient's contrast is drawn from these, with equal odds."""
    mix: ProtocolMix = field(default_factory=ProtocolMix)
    """How the rest of each patient's protocol is drawn."""
    layers: int = 2
    """Planes painted through the thickness of a slice; rendering takes as long as there are layers."""
    protocol: Protocol | None = None
    """Protocol of every patient; without it, one is drawn for each."""
    roles: tuple[Role, ...] = tuple(Role)
    """Series that are rendered; crops of others are absent."""
    population: Population = field(default_factory=Population)
    worse_by: float = 0.8
    """Patients to train on and to choose the epoch by are worse by this many standard deviations; those to calibrate
    on are not, so that probabilities mean what they say at the population's own shares."""

    def __post_init__(self) -> None:
        if not self.contrasts or self.layers < 1:
            msg = f"crops need contrasts and layers of 1 or more, got {self.contrasts}, {self.layers}"
            raise ValueError(msg)

    def protocol_of(self, rng: np.random.Generator) -> Protocol:
        """Draw how one patient is acquired."""
        if self.protocol is not None:
            return self.protocol
        return protocol_in(rng, self.contrasts, self.mix, layers=self.layers)


@dataclass(frozen=True, eq=False)
class CropSet:
    """Crops of the levels of phantoms, with the answers.

    Parameters
    ----------
    crops : ndarray of shape (patients, levels, sides, kinds, slices, rows, columns), int8
        Times :data:`STORED_PER_UNIT`; may be mapped from disk.
    present : ndarray of shape (patients, levels, sides, kinds), bool
    severities : ndarray of shape (patients, levels, cells of a level), int64
        Rank of the severity.
    """

    crops: NDArray[np.int8]
    present: NDArray[np.bool_]
    severities: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of levels of all patients."""
        return self.present.shape[0] * self.present.shape[1]

    def level(self, place: int) -> tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.int64]]:
        """Return crops, presence and severities of one level."""
        at = divmod(place, self.present.shape[1])
        return self.crops[at], self.present[at], self.severities[at]


def make_crops(
    folder: Path,
    config: CropsConfig,
    *,
    part: Part,
    patients: int,
    seed: int,
    workers: int = 0,
    progress: Progress | None = None,
) -> CropSet:
    """Make the crops of phantoms that are still to be made, and map them all.

    Parameters
    ----------
    folder : Path
        Gets ``crops.npy``, ``present.npy``, ``severities.npy`` and :data:`SETTINGS`.
    config : CropsConfig
    part : Part
    patients, seed : int
        The same seed and number give the same patient of a part, whatever the number of patients.
    workers : int
        Processes that render; 1 or fewer for this one.
    progress : callable, optional
        Counts the patients.

    Raises
    ------
    ConfigError
        If the folder holds crops made by other settings.
    """
    settings = settings_of(config, part=part, patients=patients, seed=seed)
    keep_settings(folder / SETTINGS, settings, what="crops")
    crops, present, severities = _opened(folder, patients, config.crops)
    # a severity of -1 says that a patient is still to be made
    missing = [number for number in range(patients) if severities[number].min() < 0]
    work = partial(patient_crops, config=config, part=part, seed=seed)
    all_made = zip(missing, in_processes(work, missing, workers), strict=True)
    what, before = f"{part.value} patients", patients - len(missing)
    for number, made in counted(all_made, what, patients, progress, before=before):
        crops[number], present[number], severity = made
        crops.flush()
        present.flush()
        severities[number] = severity
        severities.flush()
    return CropSet(crops, present, severities.astype(np.int64))


def patient_crops(
    number: int, config: CropsConfig, *, part: Part, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.bool_], NDArray[np.int8]]:
    """Return crops, presence and severities of one phantom, of the shapes of :class:`CropSet`."""
    entropy = [seed, tuple(Part).index(part), number, _SALT]
    own_seed, error_seed, protocol_seed = np.random.SeedSequence(entropy).generate_state(3)
    population = config.population if part is Part.CALIBRATION else config.population.worse(config.worse_by)
    phantom = make_patient(int(own_seed), population=population)
    points = true_levels(phantom, error=config.error, rng=np.random.default_rng(error_seed))
    protocol = config.protocol_of(np.random.default_rng(protocol_seed))
    study = render_levels(phantom, points, config.crops, protocol=protocol, roles=config.roles)
    cut = crop_levels(study, points, config.crops)
    severities = [
        [phantom.severity(cell).rank for cell in LUMBAR_MRI.at(level)] for level in LUMBAR_MRI.levels
    ]
    return as_stored(cut.values), cut.present, np.array(severities, np.int8)


def as_stored(crops: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return crops as they are stored, of the same shape."""
    return np.clip(np.rint(crops * STORED_PER_UNIT), -127, 127).astype(np.int8)


def as_values(crops: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return stored crops as a net takes them, of the same shape."""
    return crops.astype(np.float32) / np.float32(STORED_PER_UNIT)


_SALT = 25
"""Keeps training patients apart from those that ``stenograde phantom`` writes with the same seed."""


def _opened(
    folder: Path, patients: int, config: CropConfig
) -> tuple[np.memmap[Any, Any], np.memmap[Any, Any], np.memmap[Any, Any]]:
    """Map crops, presence and severities, which hold no patient at first."""
    shape = (patients, len(LUMBAR_MRI.levels), len(Side), len(CropKind))
    crops, present, severities = (folder / f"{name}.npy" for name in ("crops", "present", "severities"))
    if not severities.is_file():
        np.lib.format.open_memmap(crops, "w+", dtype=np.int8, shape=(*shape, *config.shape))
        np.lib.format.open_memmap(present, "w+", dtype=np.bool_, shape=shape)
        # last and as a whole: with it, the folder is ready
        with whole_file(severities) as file:
            np.save(file, np.full((*shape[:2], len(LUMBAR_MRI.at(LUMBAR_MRI.levels[0]))), -1, np.int8))
    mapped = [np.lib.format.open_memmap(path, "r+") for path in (crops, present, severities)]
    return mapped[0], mapped[1], mapped[2]
