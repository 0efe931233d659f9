"""Stand-ins for a missing series: its vector imputed from those of the series that are there.

Four ways, from the plainest: the mean of the training patients; ridge regression on the series present, one for each
pattern of presence; a denoising autoencoder that sees series left out and gives all of them back (Vincent et al., J
Mach Learn Res 2010;11:3371); a conditional variational autoencoder (Sohn, Lee and Yan, NeurIPS 2015), whose latent
variable is drawn from what the present series allow. All are fitted on complete studies of a training part, of which
series are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from torch import Tensor, nn

Vectors = NDArray[np.float32]
"""Array of shape (n, series, width)."""


class Imputation(StrEnum):
    """How a missing series is imputed."""

    MEAN = "mean"
    RIDGE = "ridge"
    AUTOENCODER = "autoencoder"
    VARIATIONAL = "variational"


@dataclass(frozen=True)
class ImputationConfig:
    """How imputation is fitted."""

    ridge: float = 10.0
    """Penalty of the ridge regression, on standardised vectors."""
    hidden: int = 256
    latent: int = 32
    """Width of the variational autoencoder's latent variable."""
    steps: int = 600
    batch: int = 64
    learning_rate: float = 1e-3
    noise: float = 0.1
    """Standard deviation of the noise on the autoencoder's input, of standardised numbers."""
    beta: float = 0.05
    """Weight of the divergence between what the latent variable is with and without the missing series."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            min(self.hidden, self.latent, self.steps, self.batch) < 1
            or min(self.ridge, self.learning_rate) <= 0
        ):
            msg = f"imputation needs sizes, steps and rates above 0, got {self}"
            raise ValueError(msg)


Imputer = Callable[[Vectors, NDArray[np.bool_]], Vectors]
"""Called with vectors (n, series, width) and which are there (n, series): gives vectors with those of missing series
imputed, the others as they were."""


def fit_imputer(
    how: Imputation, vectors: Vectors, present: NDArray[np.bool_], config: ImputationConfig
) -> Imputer:
    """Return a fitted imputer.

    Parameters
    ----------
    how : Imputation
    vectors : ndarray of shape (n, series, width), float32
        Vectors of training patients.
    present : ndarray of shape (n, series), bool
        Only studies with all series are learnt from, but for the mean, which takes what is there.
    config : ImputationConfig

    Raises
    ------
    ValueError
        If no study is complete, or a series is never there.
    """
    if not present.any(axis=0).all() or not present.all(axis=1).any():
        msg = f"imputation needs complete studies to learn from, got {int(present.all(axis=1).sum())}"
        raise ValueError(msg)
    if how is Imputation.MEAN:
        return _Standardised(Scale.of(vectors, present), lambda values, _: values)
    whole = present.all(axis=1)
    scale = Scale.of(vectors[whole], present[whole])
    complete = scale.standardised(vectors[whole])
    if how is Imputation.RIDGE:
        return _Standardised(scale, _ridges(complete, config))
    return _Standardised(scale, _network(how, complete, config))


def patterns(series: int) -> Iterator[tuple[bool, ...]]:
    """Give every pattern of presence in which something is there and something is missing."""
    for pattern in product((True, False), repeat=series):
        if any(pattern) and not all(pattern):
            yield pattern


def cosine(a: Vectors, b: Vectors) -> NDArray[np.float64]:
    """Return the cosine of the angle between vectors along the last axis; 0 where one is zero."""
    down = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.divide((a * b).sum(axis=-1), down, out=np.zeros_like(down), where=down > 0).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and deviation of each number of each series."""

    mean: Vectors
    deviation: Vectors

    @classmethod
    def of(cls, vectors: Vectors, present: NDArray[np.bool_]) -> Scale:
        """Return the scale of the vectors that are there; see :func:`fit_imputer`."""
        known = np.ma.masked_array(vectors, np.broadcast_to(~present[..., None], vectors.shape))
        deviation = np.asarray(known.std(axis=0), np.float32)
        return cls(np.asarray(known.mean(axis=0), np.float32), np.maximum(deviation, 1e-6))

    def standardised(self, vectors: Vectors) -> Vectors:
        """Return vectors of mean 0 and deviation 1 where the scale was taken."""
        return (vectors - self.mean) / self.deviation


@dataclass(frozen=True, eq=False)
class _Standardised:
    """An imputer of standardised vectors, for vectors as they come."""

    scale: Scale
    impute: Imputer

    def __call__(self, vectors: Vectors, present: NDArray[np.bool_]) -> Vectors:
        values = np.where(present[..., None], self.scale.standardised(vectors), 0).astype(np.float32)
        made = self.impute(values, present) * self.scale.deviation + self.scale.mean
        return np.where(present[..., None], vectors, made).astype(np.float32)


def _ridges(complete: Vectors, config: ImputationConfig) -> Imputer:
    models = {
        pattern: Ridge(alpha=config.ridge, solver="cholesky" if len(complete) > 1 else "auto").fit(
            complete[:, list(pattern)].reshape(len(complete), -1),
            complete[:, ~np.array(pattern)].reshape(len(complete), -1),
        )
        for pattern in patterns(complete.shape[1])
    }

    def impute(values: Vectors, present: NDArray[np.bool_]) -> Vectors:
        out = values.copy()
        for pattern, model in models.items():
            rows = np.flatnonzero((present == pattern).all(axis=1))
            if rows.size:
                missing = np.flatnonzero(~np.array(pattern))
                said = model.predict(values[rows][:, list(pattern)].reshape(len(rows), -1))
                out[np.ix_(rows, missing)] = said.reshape(len(rows), len(missing), -1)
        return out

    return impute


class _Autoencoder(nn.Module):
    """All series from those that are there."""

    def __init__(self, series: int, width: int, config: ImputationConfig) -> None:
        super().__init__()
        self.shape = (series, width)
        self.net = _mlp(series * (width + 1), config.hidden, series * width)

    def forward(self, values: Tensor, there: Tensor) -> Tensor:
        return self.net(_told(values, there)).unflatten(1, self.shape)

    def loss(self, complete: Tensor, there: Tensor, config: ImputationConfig) -> Tensor:
        noisy = complete + config.noise * torch.randn_like(complete)
        return (self(noisy, there) - complete).square().mean()


class _Variational(nn.Module):
    """All series from a latent variable; what it may be is learnt with all series, and from those that are there."""

    def __init__(self, series: int, width: int, config: ImputationConfig) -> None:
        super().__init__()
        self.shape = (series, width)
        told = series * (width + 1)
        self.prior = _mlp(told, config.hidden, 2 * config.latent)
        self.posterior = _mlp(told + series * width, config.hidden, 2 * config.latent)
        self.decoder = _mlp(told + config.latent, config.hidden, series * width)

    def forward(self, values: Tensor, there: Tensor) -> Tensor:
        told = _told(values, there)
        mean = self.prior(told).chunk(2, dim=1)[0]
        return self.decoder(torch.cat([told, mean], dim=1)).unflatten(1, self.shape)

    def loss(self, complete: Tensor, there: Tensor, config: ImputationConfig) -> Tensor:
        told = _told(complete, there)
        mean_p, log_p = self.prior(told).chunk(2, dim=1)
        mean_q, log_q = self.posterior(torch.cat([told, complete.flatten(1)], dim=1)).chunk(2, dim=1)
        drawn = mean_q + log_q.exp() * torch.randn_like(mean_q)
        made = self.decoder(torch.cat([told, drawn], dim=1)).unflatten(1, self.shape)
        divergence = (
            log_p - log_q + ((2 * log_q).exp() + (mean_q - mean_p).square()) / (2 * (2 * log_p).exp()) - 0.5
        )
        return (made - complete).square().mean() + config.beta * divergence.sum(dim=1).mean() / mean_p.shape[
            1
        ]


def _network(how: Imputation, complete: Vectors, config: ImputationConfig) -> Imputer:
    _, series, width = complete.shape
    # a generator of its own would not reach the layers' random start
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        kind = _Autoencoder if how is Imputation.AUTOENCODER else _Variational
        net = kind(series, width, config)
        values = torch.from_numpy(complete)
        every = torch.tensor(list(patterns(series)))
        optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=1e-2)
        for _ in range(config.steps):
            chosen = values[torch.randint(len(values), (config.batch,))]
            there = every[torch.randint(len(every), (config.batch,))]
            optimiser.zero_grad()
            net.loss(chosen, there, config).backward()
            optimiser.step()
    net.eval()

    def impute(given: Vectors, present: NDArray[np.bool_]) -> Vectors:
        with torch.inference_mode():
            return np.asarray(net(torch.from_numpy(given), torch.from_numpy(present)).numpy())

    return impute


def _told(values: Tensor, there: Tensor) -> Tensor:
    """Series that are there, zero for the others, and which they are; shape (n, series * (width + 1))."""
    seen = there.to(values.dtype)
    return torch.cat([(values * seen[..., None]).flatten(1), seen], dim=1)


def _mlp(before: int, hidden: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(before, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, after)
    )
