"""STOW-RS: takes the parts of a request in as they come, and says in the words of DICOM JSON what became of each.

Knows nothing of a web server: it is fed with bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from stenograde.pacs.bodies import Body
from stenograde.pacs.intake import Accepted, Intake, Refusal, Refused
from stenograde.pacs.statuses import STATUS

_DICOM: Final = b"application/dicom"

_MOST_PARTS: Final = 20_000

_MOST_STRANGE: Final = 200
"""Most parts of a request that are no DICOM objects; then the rest is not looked at."""

_HTTP: Final = {Refusal.TOO_LARGE: 413, Refusal.NO_ROOM: 503, Refusal.UNAVAILABLE: 503}
"""Status of a request of which nothing is kept, by what was wrong with all of it; 409 otherwise (PS3.18 10.5.3)."""


class MediaTypeError(ValueError):
    """A request, or a part of it, is of a kind that is not taken."""


class MalformedRequestError(ValueError):
    """A request is no multipart message, or is cut off."""


class TooManyPartsError(ValueError):
    """A request has more parts than are taken."""


def boundary_of(content_type: str) -> bytes:
    """Return what separates the parts of a request.

    Raises
    ------
    MediaTypeError
        If it is not multipart/related with parts of application/dicom.
    MalformedRequestError
        If it does not say what separates them.

    Examples
    --------
    >>> boundary_of('multipart/related; type="application/dicom"; boundary=XX')
    b'XX'
    """
    kind, options = parse_options_header(content_type.encode("latin-1"))
    if kind != b"multipart/related" or options.get(b"type", _DICOM).lower() != _DICOM:
        msg = 'Content-Type must be multipart/related; type="application/dicom"'
        raise MediaTypeError(msg)
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # (RFC 2046 5.1.1)
        msg = "boundary of a multipart message must be 1 to 70 characters"
        raise MalformedRequestError(msg)
    return boundary


@dataclass
class Received:
    """What became of the parts of a request."""

    accepted: list[Accepted] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def http_status(self) -> int:
        """Status of the answer: 200 all kept, 202 some, otherwise why none."""
        if self.accepted:
            return 202 if self.refused else 200
        reasons = Counter(_HTTP.get(one.why, 409) for one in self.refused)
        return reasons.most_common(1)[0][0] if len(reasons) == 1 else 409

    def as_json(self) -> dict[str, Any]:
        """Return the Store Instances Response Module (PS3.18 I.2) as DICOM JSON."""
        referenced = [_reference(one.sop_class, one.sop_uid) for one in self.accepted]
        failed = [
            _reference(one.sop_class, one.sop_uid) | _reason(STATUS[one.why])
            for one in self.refused
            if one.sop_uid
        ]
        other = [_reason(STATUS[one.why]) for one in self.refused if not one.sop_uid]
        sequences = {"00081198": failed, "00081199": referenced, "0008119A": other}
        told = {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}
        return {"00081190": {"vr": "UR"}} | told  # (a RetrieveURL there is none: nothing is given out here)


class StowRequest:
    """The parts of one request, each taken in as soon as it has come whole.

    Parameters
    ----------
    boundary : bytes
        See :func:`boundary_of`.
    intake : Intake
    folder : Path
        Where large parts lie while they come.
    at_most : int
        Largest part, bytes.
    sender : str
    study_uid : str
        The study that all must be of; empty: any.
    """

    def __init__(
        self, boundary: bytes, intake: Intake, folder: Path, *, at_most: int, sender: str, study_uid: str = ""
    ) -> None:
        self.received = Received()
        self._intake, self._folder, self._at_most = intake, folder, at_most
        self._sender = sender
        self._told_uids = {"study_uid": study_uid} if study_uid else {}
        self._body: Body | None = None
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._is_whole = False
        self._n_strange = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._names.append(data[start:end]),
                "on_header_value": lambda data, start, end: self._values.append(data[start:end]),
                "on_header_end": self._check_header,
                "on_part_data": self._add,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises
        ------
        MediaTypeError
            If a part is not application/dicom.
        TooManyPartsError
            If there are too many parts.
        MalformedRequestError
            If it is no multipart message, or many of its parts are no objects.
        """
        try:
            self._parser.write(data)
        except FormParserError as exc:
            msg = "body must be a multipart message with the boundary of its header"
            raise MalformedRequestError(msg) from exc

    def finish(self) -> Received:
        """Return what became of the parts, after the last byte.

        Raises
        ------
        MalformedRequestError
            If the last boundary has not come: what was before it is kept, and the sender must not think that all is.
        """
        if not self._is_whole or not (self.received.accepted or self.received.refused):
            msg = "body must hold a part and end with its boundary"
            raise MalformedRequestError(msg)
        return self.received

    def close(self) -> None:
        """Give up a part that has not come whole."""
        if self._body is not None:
            self._body.close()
            self._body = None

    def _begin(self) -> None:
        if len(self.received.accepted) + len(self.received.refused) >= _MOST_PARTS:
            msg = f"a request must have at most {_MOST_PARTS} parts, got more"
            raise TooManyPartsError(msg)
        self._body = Body(self._folder, self._at_most)

    def _check_header(self) -> None:
        name, value = b"".join(self._names).strip().lower(), b"".join(self._values)
        self._names.clear()
        self._values.clear()
        if name == b"content-type" and parse_options_header(value)[0] != _DICOM:
            msg = "Content-Type of each part must be application/dicom"
            raise MediaTypeError(msg)

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._body is not None:
            self._body.write(memoryview(data)[start:end])

    def _end(self) -> None:
        body, self._body = self._body, None
        if body is None:
            return
        with body:
            outcome: Accepted | Refused
            if body.refused is not None:
                outcome = self._intake.refuse(body.refused, via="http", sender=self._sender)
            else:
                outcome = self._intake.accept(
                    body.whole(), via="http", sender=self._sender, told_uids=self._told_uids
                )
        if isinstance(outcome, Accepted):
            self.received.accepted.append(outcome)
        else:
            self.received.refused.append(outcome)
            self._n_strange += outcome.why is Refusal.NOT_UNDERSTOOD
            if self._n_strange >= _MOST_STRANGE:
                msg = f"a request must hold DICOM objects, got {_MOST_STRANGE} that are none"
                raise MalformedRequestError(msg)

    def _finish(self) -> None:
        self._is_whole = True


@contextmanager
def stow_request(*args: Any, **settings: Any) -> Iterator[StowRequest]:
    """Give a request; what of it has not come whole is gone after the block."""
    request = StowRequest(*args, **settings)
    try:
        yield request
    finally:
        request.close()


def _reference(sop_class: str, sop_uid: str) -> dict[str, Any]:
    return {"00081150": _ui(sop_class), "00081155": _ui(sop_uid)}


def _ui(uid: str) -> dict[str, str | Sequence[str]]:
    return {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"}


def _reason(status: int) -> dict[str, Any]:
    return {"00081197": {"vr": "US", "Value": [status]}}
