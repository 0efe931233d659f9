"""Cohorts of made-up labels and of a made-up grader's probabilities; the cells of a patient resemble each other.

No picture is involved. A cell's narrowing is normal: some levels are worse than others, and a patient's cells share
half of the rest. Its severity follows from two limits, placed so that severities are as common as asked. The grader
sees the narrowing through noise, part of which all cells of a patient share and whose amount differs from patient to
patient; it says what would be right if all patients and levels were alike. So it is off for each patient, and errors
cluster.

How much noise there is was chosen by what the models of the 4th place of RSNA 2024 do, once calibrated: a logarithmic
loss of 0.17 in the canal, 0.35 in the foramina and 0.42 in the subarticular zones (here 0.17, 0.34 and 0.42). Then
severities and misses cluster in patients about as there; some real Severe cells are missed by more than any here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

LEVEL_SHIFTS = np.array([-0.8, -0.3, 0.2, 0.7, 0.2])
"""How much narrower the levels from L1/L2 to L5/S1 are, in standard deviations of a cell within its level."""

SHARED = 0.5
"""Share of the variance within a level that all cells of a patient have in common."""

NOISE_SHARED = 0.3
"""Share of the variance of the grader's noise that all cells of a patient have in common."""

NOISE_SPREAD = 0.35
"""Standard deviation of the logarithm of a patient's amount of noise."""


@dataclass(frozen=True)
class Condition:
    """What is graded: how often each severity occurs, and how well the grader sees it."""

    prevalence: tuple[float, float, float]
    sides: int
    noise: float
    """Standard deviation of the grader's noise, in the unit of LEVEL_SHIFTS."""


def conditions(canal: tuple, foramen: tuple, recess: tuple) -> dict[str, Condition]:
    """Return the three conditions with the given shares of severities, in percent."""
    return {
        "canal": Condition(canal, sides=1, noise=0.37),
        "foramen": Condition(foramen, sides=2, noise=0.65),
        "recess": Condition(recess, sides=2, noise=0.61),
    }


PREVALENCES = {
    "phantom": conditions((89, 7, 4), (80, 16, 4), (74, 17, 9)),
    "RSNA 2024": conditions((87.8, 7.5, 4.8), (78.0, 18.1, 4.0), (71.4, 19.0, 9.6)),
}
"""Shares of the severities in percent, as they come; each is divided by its sum."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Cells of a cohort, patient by patient."""

    probabilities: np.ndarray
    """Shape (n, 3)."""
    truth: np.ndarray
    """Rank of the true severity, shape (n,)."""
    patients: np.ndarray
    """Number of the patient, shape (n,)."""


def simulate(condition: Condition, patients: int, rng: np.random.Generator) -> Cohort:
    """Return a cohort of patients with five levels each, on one or two sides."""
    levels = np.repeat(LEVEL_SHIFTS, condition.sides)
    shape = (patients, levels.size)
    narrowing = levels + _shared(SHARED, shape, rng)
    amount = condition.noise * np.exp(NOISE_SPREAD * rng.normal(size=(patients, 1)) - NOISE_SPREAD**2)
    seen = narrowing + amount * _shared(NOISE_SHARED, shape, rng)
    limits = _limits(condition)
    spread = 1.0 + LEVEL_SHIFTS.var()  # of the narrowing over all levels
    trust = spread / (spread + condition.noise**2)
    expected = LEVEL_SHIFTS.mean() + trust * (seen - LEVEL_SHIFTS.mean())
    below = ndtr((limits - expected[..., None]) / np.sqrt(spread * (1 - trust)))
    shares = np.diff(np.concatenate([np.zeros((*shape, 1)), below, np.ones((*shape, 1))], axis=-1), axis=-1)
    return Cohort(
        shares.reshape(-1, 3),
        (narrowing[..., None] > limits).sum(-1).ravel(),
        np.repeat(np.arange(patients), levels.size),
    )


def _shared(share: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return normal numbers of variance 1 that correlate by ``share`` within a row."""
    return np.sqrt(share) * rng.normal(size=(shape[0], 1)) + np.sqrt(1 - share) * rng.normal(size=shape)


def _limits(condition: Condition) -> np.ndarray:
    """Return the two narrowings from which on a cell is Moderate and Severe."""
    grid = np.linspace(-6, 6, 12001)
    below = ndtr(grid[:, None] - LEVEL_SHIFTS).mean(1)
    shares = np.array(condition.prevalence) / sum(condition.prevalence)
    return np.interp(shares.cumsum()[:2], below, grid)
