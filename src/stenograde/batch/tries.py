"""How often studies were begun; an actor of Ray is made of it, so it imports nothing: the engine takes seconds."""

from __future__ import annotations

from collections import Counter


class Tries:
    """Counts how often each study was begun, beyond the end of a worker."""

    def __init__(self) -> None:
        self.begun = Counter[int]()

    def begin(self, row: int) -> int:
        """Count one more, and return how often it was begun before."""
        self.begun[row] += 1
        return self.begun[row] - 1

    def done(self, row: int) -> None:
        """Forget a study."""
        del self.begun[row]
