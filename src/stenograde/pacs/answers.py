"""What a destination says to an object, in one vocabulary for C-STORE and STOW-RS: the status codes of DICOM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol, Self

from stenograde.pacs.outgoing import Outgoing


class Verdict(StrEnum):
    """What an answer means for an object."""

    STORED = "stored"
    WARNED = "warned"
    """Stored, and the destination has something to say about it."""
    REFUSED = "refused"
    """Refused for what it is: another attempt will hardly do better."""
    LATER = "later"
    """Not stored for a reason that may pass, such as a full disk."""


@dataclass(frozen=True)
class Answer:
    """What a destination said to one object."""

    verdict: Verdict
    reason: str
    """Without anything of a patient: a code, never the other side's own text."""


class Peer(Protocol):
    """The other side, while connected."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def store(self, one: Outgoing) -> Answer:
        """Send an object.

        Raises
        ------
        DeliveryError
            If the other side is not there any more, or does not answer.
        """
        ...


_DUPLICATE: Final = 0x0111
_WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116})
_REFUSALS: Final = frozenset({0x0106, 0x0117, 0x0120, 0x0121, 0x0122})


def judged(status: int) -> Answer:
    """Return what a status code means (PS3.7 annex C; PS3.4 B.2.3 for C-STORE; PS3.18 table I.2-2 for STOW-RS).

    An object that is there already counts as stored: ours have the same UIDs only where they are the same.

    Examples
    --------
    >>> [judged(code).verdict.value for code in (0x0000, 0x0111, 0xB000, 0xA700, 0xA900, 0xC000, 0x0110)]
    ['stored', 'warned', 'warned', 'later', 'refused', 'refused', 'later']
    """
    reason = f"status 0x{status:04X}"
    if status == 0:
        return Answer(Verdict.STORED, reason)
    if status in _WARNINGS or status == _DUPLICATE or 0xB000 <= status <= 0xBFFF:
        return Answer(Verdict.WARNED, reason)
    if status in _REFUSALS or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF:
        return Answer(Verdict.REFUSED, reason)
    return Answer(Verdict.LATER, reason)


def shown(reasons: Iterable[str]) -> str:
    """Return reasons as one, each once.

    Examples
    --------
    >>> shown(["status 0xA700", "status 0xA700", "status 0x0110"])
    'status 0xA700, status 0x0110'
    """
    return ", ".join(dict.fromkeys(reasons))
