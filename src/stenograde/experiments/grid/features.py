"""Slice vectors of a cohort to one vector per series and study: projected, pooled, with metadata beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stenograde.evaluate.rsna_metric import UNKNOWN
from stenograde.experiments.grid.recipe import GridRecipe, GridRow, NetworkConfig
from stenograde.experiments.vectors.embed import METADATA_CATEGORIES, METADATA_NUMBERS, CohortVectors
from stenograde.nets.series_fusion import GatedAttentionPool, Pooling, masked_share, weighted_sum
from stenograde.tabular.impute import MetadataEncoder
from stenograde.terms import LUMBAR_MRI, Condition, Role, Severity

Table = NDArray[np.float32]

CELLS_OF = {
    condition: [k for k, cell in enumerate(LUMBAR_MRI.cells) if cell.condition is condition]
    for condition in Condition
}
"""Places of each condition's cells."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """The slice vectors of one role over a cohort, padded.

    ``values`` has shape (studies, slices, width), ``there`` (studies, slices).
    """

    values: Tensor
    there: Tensor

    def scaled_by(self, train: Sequence[int]) -> Tokens:
        """Return vectors of mean 0 and deviation 1 over the slices of the studies that train, 0 where there is none.

        Vectors of an encoder lie far from zero and close together: as they come, the gates of attention are all open,
        and it weighs all slices alike whatever it learns.
        """
        at = torch.as_tensor(np.asarray(train))
        known = self.values[at][self.there[at]]
        if not len(known):
            return self
        deviation = known.std(dim=0, correction=0)
        scaled = (self.values - known.mean(dim=0)) / torch.where(deviation > 1e-6, deviation, 1)
        return Tokens(torch.where(self.there[..., None], scaled, 0), self.there)


def tokens_of(cohort: CohortVectors, role: Role) -> Tokens:
    """Return the slice vectors of a role."""
    longest = max((len(one.vectors[role]) for one in cohort.studies if role in one.vectors), default=1)
    values = np.zeros((len(cohort.studies), longest, cohort.width), np.float32)
    there = np.zeros((len(cohort.studies), longest), bool)
    for k, study in enumerate(cohort.studies):
        if role in study.vectors:
            own = study.vectors[role]
            values[k, : len(own)], there[k, : len(own)] = own, True
    return Tokens(torch.from_numpy(values), torch.from_numpy(there))


@dataclass(frozen=True, eq=False)
class Pooled:
    """One vector per study."""

    vectors: Table
    """Shape (studies, width)."""
    weights: Table
    """How much each slice counted, shape (studies, slices); 0 where there is none."""


def pooled(
    tokens: Tokens,
    labels: NDArray[np.int64],
    train: Sequence[int],
    row: GridRow,
    config: NetworkConfig,
    *,
    seed: int,
) -> Pooled:
    """Return one vector per study; of a missing series the mean of those that train.

    Parameters
    ----------
    tokens : Tokens
        Vectors of one role.
    labels : ndarray of shape (studies, cells), int64
        Severities of the condition graded from it; only those of ``train`` are used.
    train : sequence of int
        Places of the studies that train.
    row : GridRow
    config : NetworkConfig
    seed : int
    """
    if row.pooling is Pooling.MEAN:
        weights = masked_share(tokens.there)
        vectors = weighted_sum(weights, tokens.values)
    else:
        tokens = tokens.scaled_by(train)
        pool = _trained_pool(tokens, labels, train, config, seed=seed)
        with torch.inference_mode():
            vectors, weights = pool(tokens.values, tokens.there)
    values = np.asarray(vectors.numpy(), np.float32).copy()
    missing = ~tokens.there.any(dim=1).numpy()
    known = np.setdiff1d(np.asarray(train), np.flatnonzero(missing))
    values[missing] = values[known].mean(axis=0) if known.size else 0
    return Pooled(values, np.asarray(weights.numpy(), np.float32))


def metadata_table(cohort: CohortVectors, train: Sequence[int], *, seed: int, trees: int) -> Table:
    """Return metadata as numbers without gaps, shape (studies, columns); learnt from those that train alone."""
    rows: list[Mapping[str, str | float | None]] = [study.metadata for study in cohort.studies]
    encoder = MetadataEncoder(METADATA_NUMBERS, METADATA_CATEGORIES, trees=trees, seed=seed)
    encoder.fit([rows[place] for place in train])
    return np.asarray(encoder.transform(rows), np.float32)


def labels_of(cohort: CohortVectors) -> NDArray[np.int64]:
    """Return ranks, shape (studies, cells), ``UNKNOWN`` without a label."""
    return np.stack([study.severities for study in cohort.studies])


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean loss of yes or no for each severity of the cells that have a label.

    Parameters
    ----------
    logits : tensor of shape (n, cells, severities)
    labels : tensor of shape (n, cells), int64
    weights : tensor of shape (severities,), optional
        How much a cell counts, by its severity.
    """
    known = labels != UNKNOWN
    ranks = labels.clamp(min=0)
    wanted = nn.functional.one_hot(ranks, len(Severity)).to(logits.dtype)
    each = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(dim=-1)
    count = known.to(logits.dtype) if weights is None else weights[ranks] * known
    return (each * count).sum() / count.sum().clamp(min=1e-6)


def _trained_pool(
    tokens: Tokens, labels: NDArray[np.int64], train: Sequence[int], config: NetworkConfig, *, seed: int
) -> GatedAttentionPool:
    """Fit attention and a linear answer together on scaled vectors, and keep the attention."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        width = tokens.values.shape[2]
        pool = GatedAttentionPool(width, config.hidden)
        answer = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, labels.shape[1] * len(Severity)))
        places = torch.as_tensor(np.asarray(train))
        values, there = tokens.values[places], tokens.there[places]
        wanted = torch.from_numpy(labels)[places]
        parameters = [*pool.parameters(), *answer.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        for _ in range(config.epochs):
            optimiser.zero_grad()
            logits = answer(pool(values, there)[0]).unflatten(1, (-1, len(Severity)))
            weighted_loss(logits, wanted, None).backward()
            optimiser.step()
    return pool.eval()


class Features:
    """What each condition is graded from in a row of the grid, for one training part after another; all are kept.

    The head of the row does not matter.
    """

    def __init__(self, cohort: CohortVectors, row: GridRow, recipe: GridRecipe) -> None:
        self.cohort, self.row, self.recipe = cohort, row, recipe
        self.labels = labels_of(cohort)
        narrow = cohort.projected(row.width, seed=recipe.seed)
        self.tokens = {one.marked_in: tokens_of(narrow, one.marked_in) for one in Condition}
        self.attention: dict[str, Table] = {}
        """How much each slice counted, shape (studies, slices), by training part and condition."""
        self._made: dict[tuple[int, ...], dict[Condition, Table]] = {}

    def of(self, train: Sequence[int]) -> dict[Condition, Table]:
        """Return tables of shape (studies, width + metadata), by condition, learnt from the studies that train."""
        key = tuple(train)
        if key not in self._made:
            self._made[key] = self._of(key)
        return self._made[key]

    def _of(self, train: Sequence[int]) -> dict[Condition, Table]:
        recipe = self.recipe
        beside = metadata_table(self.cohort, train, seed=recipe.seed, trees=recipe.trees)
        found = {}
        for condition in Condition:
            labels = self.labels[:, CELLS_OF[condition]]
            tokens = self.tokens[condition.marked_in]
            one = pooled(tokens, labels, train, self.row, recipe.network, seed=recipe.seed)
            found[condition] = np.hstack([one.vectors, beside])
            self.attention[f"part-{len(self._made) + 1}-{condition.value}"] = one.weights
        return found
