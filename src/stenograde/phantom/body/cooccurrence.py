"""How often each cell is stenosed and which cells are stenosed together, as in RSNA 2024.

Computed from the 1,974 studies of ``train.csv`` of the RSNA 2024 Lumbar Spine Degenerative Classification data set: the
shares of each grade per condition and level, and the polychoric correlation of each pair of cells (maximum likelihood,
thresholds from the margins), averaged over pairs with the same conditions, distance in levels and relation of sides;
their standard deviations are 0.01 to 0.10. No study and no label is stored here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from stenograde.terms import LUMBAR_MRI, Cell, Condition

Shares = tuple[float, float, float]
"""Shares of Normal/Mild, Moderate and Severe."""

_CANAL = Condition.SPINAL_CANAL_STENOSIS
_FORAMEN = Condition.NEURAL_FORAMINAL_NARROWING
_RECESS = Condition.SUBARTICULAR_STENOSIS

RSNA_SHARES: dict[Condition, tuple[Shares, ...]] = {
    _CANAL: (
        (0.955, 0.034, 0.011),
        (0.896, 0.077, 0.027),
        (0.821, 0.117, 0.062),
        (0.751, 0.120, 0.129),
        (0.964, 0.026, 0.010),
    ),
    _FORAMEN: (
        (0.964, 0.032, 0.004),
        (0.909, 0.086, 0.005),
        (0.771, 0.209, 0.020),
        (0.612, 0.319, 0.069),
        (0.642, 0.258, 0.100),
    ),
    _RECESS: (
        (0.930, 0.056, 0.014),
        (0.826, 0.132, 0.042),
        (0.671, 0.230, 0.099),
        (0.450, 0.316, 0.234),
        (0.713, 0.205, 0.082),
    ),
}
"""Shares of the grades at L1/L2 to L5/S1; those of conditions with sides are pooled over both sides."""

_SAME_SIDE = {
    (_CANAL, _CANAL): (1.0, 0.60, 0.41, 0.21, 0.22),
    (_CANAL, _FORAMEN): (0.48, 0.37, 0.29, 0.26, 0.16),
    (_CANAL, _RECESS): (0.75, 0.49, 0.38, 0.25, 0.14),
    (_FORAMEN, _FORAMEN): (1.0, 0.61, 0.42, 0.28, 0.25),
    (_FORAMEN, _RECESS): (0.57, 0.40, 0.30, 0.27, 0.24),
    (_RECESS, _RECESS): (1.0, 0.62, 0.46, 0.38, 0.28),
}
"""Latent correlation of two conditions 0, 1, 2, 3, 4 levels apart; on the same side where both have sides."""

_OTHER_SIDE = {
    (_FORAMEN, _FORAMEN): (0.52, 0.40, 0.34, 0.29, 0.25),
    (_FORAMEN, _RECESS): (0.47, 0.37, 0.34, 0.32, 0.26),
    (_RECESS, _RECESS): (0.67, 0.48, 0.38, 0.32, 0.24),
}
"""The same on opposite sides."""


def correlation(first: Cell, second: Cell) -> float:
    """Return the latent correlation of two cells in RSNA 2024.

    Examples
    --------
    >>> correlation(LUMBAR_MRI.cells[0], LUMBAR_MRI.cells[1])
    0.6
    """
    order = tuple(Condition)
    pair = sorted((first.condition, second.condition), key=order.index)
    apart = abs(LUMBAR_MRI.levels.index(first.level) - LUMBAR_MRI.levels.index(second.level))
    opposite = first.side and second.side and first.side is not second.side
    table = _OTHER_SIDE if opposite else _SAME_SIDE
    return table[pair[0], pair[1]][apart]


@cache
def _root() -> NDArray[np.float64]:
    """Matrix whose product with white noise has the correlations, shape (25, 25)."""
    cells = LUMBAR_MRI.cells
    matrix = np.array([[correlation(a, b) for b in cells] for a in cells])
    values, vectors = np.linalg.eigh(matrix)  # after averaging, the table is not quite a correlation matrix
    root = vectors * np.sqrt(np.maximum(values, 0))
    return root / np.linalg.norm(root, axis=1, keepdims=True)


def draw_ranks(rng: np.random.Generator) -> dict[Cell, float]:
    """Draw the rank, 0 (best) to 1, of each of a patient's 25 cells among all patients, from a Gaussian copula."""
    latent = _root() @ rng.standard_normal(len(LUMBAR_MRI.cells))
    return dict(zip(LUMBAR_MRI.cells, ndtr(latent).tolist(), strict=True))


BORDER = 0.06
"""Severities this close to the border between two grades are not drawn, so that every truth is clear."""


def severity_of_rank(rank: float, shares: Shares) -> float:
    """Return the continuous severity, 0 to 3, of a rank in a population with given shares of the three grades.

    Within Moderate and Severe it grows linearly with the rank; within Normal/Mild, which is mostly normal, with its
    square.

    Examples
    --------
    >>> [round(severity_of_rank(rank, (0.5, 0.25, 0.25)), 2) for rank in (0.25, 0.7, 0.875)]
    [0.28, 1.76, 2.5]
    """
    ends = np.concatenate([[0.0], np.cumsum(shares)])
    grade = int(np.clip(np.searchsorted(ends, rank, side="right") - 1, 0, 2))
    within = (rank - ends[grade]) / max(shares[grade], 1e-12)
    within = within**2 if grade == 0 else within
    return grade + BORDER + (1 - 2 * BORDER) * float(np.clip(within, 0, 1))


def enriched(shares: Shares, shift: float) -> Shares:
    """Return the shares of the grades after making all patients worse by ``shift`` standard deviations.

    Examples
    --------
    >>> [round(share, 2) for share in enriched((0.8, 0.15, 0.05), 0.8)]
    [0.52, 0.28, 0.2]
    """
    first, second = ndtr(ndtri(np.clip(np.cumsum(shares)[:2], 1e-9, 1 - 1e-9)) - shift)
    return float(first), float(second - first), float(1 - second)
