"""The document's independent network: for each condition one, from its vector to yes or no for each severity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stenograde.evaluate.rsna_metric import UNKNOWN
from stenograde.experiments.grid.features import Table, weighted_loss
from stenograde.experiments.grid.recipe import NetworkConfig
from stenograde.terms import Severity
from stenograde.train.loop.loss import inverse_frequencies


def network_scores(
    features: Table,
    labels: NDArray[np.int64],
    train: Sequence[int],
    test: Sequence[int],
    config: NetworkConfig,
    *,
    weighted: bool,
    seed: int,
) -> NDArray[np.float64]:
    """Return a score from 0 to 1 for each severity of the cells of a condition, shape (tests, cells, severities).

    Parameters
    ----------
    features : ndarray of shape (studies, width), float32
    labels : ndarray of shape (studies, cells), int64
        Only those of ``train`` are used.
    train, test : sequence of int
    config : NetworkConfig
    weighted : bool
        Whether each severity counts by the inverse of its share.
    seed : int
    """
    known = features[np.asarray(train)]
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    values = torch.from_numpy(((features - mean) / deviation).astype(np.float32))
    wanted = torch.from_numpy(labels[np.asarray(train)])
    codes = labels[np.asarray(train)]
    weights = inverse_frequencies(codes[codes != UNKNOWN], len(Severity)).float() if weighted else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(values.shape[1], config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, labels.shape[1] * len(Severity)),
        )
        optimiser = torch.optim.AdamW(
            net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        of_train = values[torch.as_tensor(np.asarray(train))]
        for _ in range(config.epochs):
            optimiser.zero_grad()
            logits = net(of_train).unflatten(1, (-1, len(Severity)))
            weighted_loss(logits, wanted, weights).backward()
            optimiser.step()
    net.eval()
    with torch.inference_mode():
        logits = net(values[torch.as_tensor(np.asarray(test))]).unflatten(1, (-1, len(Severity)))
        return np.asarray(torch.sigmoid(logits).numpy(), np.float64)
