"""Batches that depend on the seed, the epoch and their number alone, made by threads while earlier ones are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stenograde.train.loop.fit_config import Batch, FitConfig

Make = Callable[[NDArray[np.int64], int], Batch]
"""Called with the places of a batch's samples and the number of the batch; from several threads."""


@dataclass(frozen=True, eq=False)
class SeededBatches:
    """The batches of one data set.

    Parameters
    ----------
    n : int
        Samples of an epoch.
    fit : FitConfig
        Its batch and workers count.
    begin : callable
        Called with an epoch; gives the places of its samples in order, and what makes a batch of some of them.
    whole : bool
        Whether an epoch's last, smaller batch is left out, unless it is the only one.
    """

    n: int
    fit: FitConfig
    begin: Callable[[int], tuple[NDArray[np.int64], Make]]
    whole: bool = True

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return max(1, self.n // self.fit.batch) if self.whole else 1 + (self.n - 1) // self.fit.batch

    def batches(self, epoch: int, rank: int, world: int) -> Generator[Batch, None, None]:
        """Give every ``world``-th batch of an epoch, from the ``rank``-th on."""
        order, make = self.begin(epoch)
        size = self.fit.batch

        def made(number: int) -> Batch:
            return make(order[number * size : (number + 1) * size], number)

        yield from _made_ahead(made, range(rank, len(self), world), self.fit.workers)


def shuffled(places: int | NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return places in the order of an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(places)


def _made_ahead(make: Callable[[int], Batch], numbers: range, workers: int) -> Generator[Batch, None, None]:
    """Give the batches of these numbers in order, made by ``workers`` threads while others are used."""
    if not workers:
        yield from map(make, numbers)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(make, number) for number in numbers[: workers + 1])
        for number in numbers[workers + 1 :]:
            yield waiting.popleft().result()
            waiting.append(pool.submit(make, number))
        while waiting:
            yield waiting.popleft().result()
