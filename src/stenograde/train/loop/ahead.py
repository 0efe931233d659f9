"""Batches made by threads while earlier ones are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

from stenograde.train.loop.fit_config import Batch


def made_ahead(make: Callable[[int], Batch], numbers: range, workers: int) -> Generator[Batch, None, None]:
    """Give the batches of these numbers in order, made by so many threads while others are used."""
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
