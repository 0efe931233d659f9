"""The metric of RSNA 2024: weighted logarithmic loss of three conditions and of any severe canal; and AUC of severe.

References
----------
RSNA 2024 Lumbar Spine Degenerative Classification, evaluation page of the competition: severities weigh 1, 2 and 4; the
fourth part asks of each study whether any level's canal is severe, with the greatest P(severe) as the answer and the
greatest weight of the study's canal cells as the weight; the score is the mean of the four parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.evaluate.intervals import Interval, interval_of, patient_weights
from stenograde.evaluate.metrics import weighted_auc
from stenograde.grades import EVEN_ODDS, Probabilities
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Severity

Floats = NDArray[np.float64]

SEVERITY_WEIGHTS = (1.0, 2.0, 4.0)
"""How much a cell counts, by its severity."""

ANY_SEVERE = "any_severe_canal"
"""Name of the fourth part."""

PARTS = (*(condition.value for condition in Condition), ANY_SEVERE)
"""Parts of the metric, in order."""

UNKNOWN = -1
"""Rank of a cell that has no label."""

_LEAST = float(np.finfo(np.float64).eps)
"""Floor of probabilities, as in scikit-learn's ``log_loss``."""

_CONDITION_OF = np.array([tuple(Condition).index(cell.condition) for cell in LUMBAR_MRI.cells])


@dataclass(frozen=True, eq=False)
class CohortAnswers:
    """Predictions for each cell of each study, beside the truth.

    Parameters
    ----------
    probabilities : ndarray of shape (studies, cells, severities)
        Cells in the order of ``LUMBAR_MRI``; rows sum to one.
    severities : ndarray of shape (studies, cells), int64
        Rank of the true severity, :data:`UNKNOWN` without a label.

    Raises
    ------
    ValueError
        If shapes do not fit, or the probabilities of a cell are not finite, at least 0 and of sum one.
    """

    probabilities: Floats
    severities: NDArray[np.int64]

    def __post_init__(self) -> None:
        n, cells = self.severities.shape
        if self.probabilities.shape != (n, len(LUMBAR_MRI.cells), len(Severity)) or cells != len(
            LUMBAR_MRI.cells
        ):
            msg = (
                f"answers must be of shape (studies, {len(LUMBAR_MRI.cells)}, {len(Severity)}) with a severity for "
                f"each cell, got {self.probabilities.shape}, {self.severities.shape}"
            )
            raise ValueError(msg)
        with np.errstate(invalid="ignore"):  # infinities of both signs
            off = np.abs(self.probabilities.sum(axis=2) - 1)
        sound = (self.probabilities >= 0).all(axis=2) & (off < 1e-3)
        if not sound.all():
            got = self.probabilities[~sound][0].tolist()
            msg = f"probabilities of each cell must be finite, at least 0 and sum to one, got {got}"
            raise ValueError(msg)

    def known_only(self, keep: NDArray[np.bool_]) -> CohortAnswers:
        """Return the answers with labels only where ``keep``, shape (studies, cells), is true."""
        return CohortAnswers(self.probabilities, np.where(keep, self.severities, UNKNOWN))

    def weighted(self) -> CohortAnswers:
        """Return the answers that the metric rewards: probabilities times the weights of the severities.

        A calibrated probability says how often something is true; the metric counts severe cells four times, so its
        best answer says severe more often than that.
        """
        return CohortAnswers(rewarded(self.probabilities), self.severities)


def rewarded(probabilities: Floats) -> Floats:
    """Return probabilities, severities along the last axis, times the weights of the severities, made to sum to one.

    Examples
    --------
    >>> rewarded(np.array([0.8, 0.1, 0.1])).round(2).tolist()
    [0.57, 0.14, 0.29]
    """
    raised = probabilities * np.array(SEVERITY_WEIGHTS)
    return raised / raised.sum(axis=-1, keepdims=True)


def rsna_score(answers: CohortAnswers, *, draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Return the four :data:`PARTS` and their mean, ``score``, each with its 95 % interval over studies.

    They are NaN where a part has no labels, and then the mean is, too; :func:`absent_scores` says why.
    """
    each = _lost(answers)
    return _intervals(answers, lambda of_studies: _parts(each, of_studies), draws=draws, seed=seed)


def rsna_differences(
    one: CohortAnswers, other: CohortAnswers, *, draws: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return by how much the parts and the score of one method are above another's, on the same draws of the studies.

    Raises
    ------
    ValueError
        If their labels are not the same.
    """
    if not np.array_equal(one.severities, other.severities):
        msg = "methods can only be compared on the same studies with the same labels, got others"
        raise ValueError(msg)
    mine, theirs = _lost(one), _lost(other)

    def differences(of_studies: Floats) -> Floats:
        return _parts(mine, of_studies) - _parts(theirs, of_studies)

    return _intervals(one, differences, draws=draws, seed=seed)


def _intervals(
    answers: CohortAnswers, parts: Callable[[Floats], Floats], *, draws: int, seed: int
) -> dict[str, Interval]:
    """Parts and score with intervals; ``parts`` gives them for weightings of the studies, as :func:`_parts` does."""
    drawn = np.concatenate([parts(w) for w in _draws(answers, draws, seed)])
    value = parts(np.ones((1, len(answers.severities))))[0]
    return {name: interval_of(float(value[k]), drawn[:, k]) for k, name in enumerate((*PARTS, "score"))}


def severe_auc(answers: CohortAnswers, *, draws: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """Return the AUC of severe by condition and their mean as ``macro``, each with its 95 % interval over studies."""
    labelled = answers.severities >= 0
    study_of = np.broadcast_to(np.arange(len(labelled))[:, None], labelled.shape)

    def areas(of_studies: Floats) -> Floats:
        found = []
        for place in range(len(Condition)):
            chosen = labelled & (place == _CONDITION_OF)
            scores = answers.probabilities[..., -1][chosen]
            severe = answers.severities[chosen] == len(Severity) - 1
            found.append(
                weighted_auc(scores, severe, of_studies[:, study_of[chosen]]) if severe.size else None
            )
        known = [area for area in found if area is not None]
        each = [area if area is not None else np.full(len(of_studies), np.nan) for area in found]
        return np.stack([*each, np.mean(known, axis=0) if known else each[0]], axis=1)

    drawn = np.concatenate([areas(w) for w in _draws(answers, draws, seed)])
    value = areas(np.ones((1, len(labelled))))[0]
    names = (*(condition.value for condition in Condition), "macro")
    return {name: interval_of(float(value[k]), drawn[:, k]) for k, name in enumerate(names)}


def absent_scores(answers: CohortAnswers, *, nothing: str = "no labelled cell") -> dict[str, str]:
    """Return why a part of the metric, or its mean, is NaN, by name; ``nothing`` is said of what has no labels."""
    labelled = answers.severities >= 0
    absent = {
        condition.value: nothing
        for place, condition in enumerate(Condition)
        if not labelled[:, place == _CONDITION_OF].any()
    }
    if Condition.SPINAL_CANAL_STENOSIS.value in absent:
        absent[ANY_SEVERE] = nothing
    return absent | ({"score": f"it is the mean of {len(PARTS)} parts"} if absent else {})


def absent_areas(answers: CohortAnswers, *, nothing: str = "no labelled cell") -> dict[str, str]:
    """Return why an AUC of :func:`severe_auc`, or their mean, is NaN, by name, as :func:`absent_scores` does."""
    absent, one_sided = {}, False
    for place, condition in enumerate(Condition):
        ranks = answers.severities[:, place == _CONDITION_OF]
        severe = ranks[ranks >= 0] == len(Severity) - 1
        if not severe.size:
            absent[condition.value] = nothing
        elif severe.all() or not severe.any():
            absent[condition.value] = "all are severe" if severe.all() else "none is severe"
            one_sided = True
    if one_sided or len(absent) == len(Condition):
        absent["macro"] = "it is the mean of those of all labelled conditions"
    return absent


def answers_of(
    said: Sequence[Mapping[Cell, Probabilities]], severities: Sequence[Mapping[Cell, Severity]]
) -> CohortAnswers:
    """Return answers and truth as arrays.

    Parameters
    ----------
    said : sequence of mapping
        Probabilities by cell, study by study; a cell without any counts as even odds.
    severities : sequence of mapping
        Labels by cell.
    """
    probabilities = [[one.get(cell, EVEN_ODDS) for cell in LUMBAR_MRI.cells] for one in said]
    ranks = [[one[cell].rank if cell in one else UNKNOWN for cell in LUMBAR_MRI.cells] for one in severities]
    return CohortAnswers(np.array(probabilities, np.float64), np.array(ranks, np.int64))


def _parts(of_each: tuple[Floats, Floats], of_studies: Floats) -> Floats:
    """Parts of the metric and their mean for each weighting of the studies, shape (weightings, parts + 1).

    ``of_each`` is what :func:`_lost` gives.
    """
    lost, weight = of_each
    down = of_studies @ weight
    each = np.divide(of_studies @ lost, down, out=np.full(down.shape, np.nan), where=down > 0)
    return np.concatenate([each, each.mean(axis=1, keepdims=True)], axis=1)


def _draws(answers: CohortAnswers, draws: int, seed: int) -> Sequence[Floats]:
    return list(patient_weights(np.arange(len(answers.severities)), draws=draws, seed=seed))


def _lost(answers: CohortAnswers) -> tuple[Floats, Floats]:
    """Weighted loss and weight of each study in each part, shape (studies, parts)."""
    known, ranks = answers.severities >= 0, np.maximum(answers.severities, 0)
    weight = np.where(known, np.array(SEVERITY_WEIGHTS)[ranks], 0.0)
    shares = np.take_along_axis(answers.probabilities, ranks[..., None], axis=2)[..., 0]
    loss = -np.log(np.clip(shares, _LEAST, 1 - _LEAST)) * weight
    canal = tuple(Condition).index(Condition.SPINAL_CANAL_STENOSIS) == _CONDITION_OF
    severe = np.where(known, answers.severities == len(Severity) - 1, False)[:, canal].any(axis=1)
    said = np.where(known, answers.probabilities[..., -1], 0.0)[:, canal].max(axis=1)
    said = np.clip(said, _LEAST, 1 - _LEAST)
    most = weight[:, canal].max(axis=1)
    lost_any = -np.log(np.where(severe, said, 1 - said)) * most
    conditions = [place == _CONDITION_OF for place in range(len(Condition))]
    return (
        np.stack([*(loss[:, which].sum(axis=1) for which in conditions), lost_any], axis=1),
        np.stack([*(weight[:, which].sum(axis=1) for which in conditions), most], axis=1),
    )
