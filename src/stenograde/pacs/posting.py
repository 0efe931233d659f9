"""Sends objects by DICOMweb: STOW-RS (PS3.18 10.5), one object a request, streamed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from stenograde.errors import ConfigError, DeliveryError
from stenograde.pacs.answers import Answer, Verdict, judged
from stenograde.pacs.outgoing import Outgoing
from stenograde.pacs.settings import Destination
from stenograde.pacs.storing import ANSWER_S, CONNECT_S
from stenograde.pacs.tls import client_context

_CHUNK_BYTES: Final = 1 << 18
_MOST_ANSWER_BYTES: Final = 1 << 20

_STORED, _FAILED = "00081199", "00081198"
"""ReferencedSOPSequence, FailedSOPSequence."""
_SOP_UID, _FAILURE, _WARNING = "00081155", "00081197", "00081196"
"""ReferencedSOPInstanceUID, FailureReason, WarningReason."""

_REFUSALS: Final = frozenset({400, 413, 415, 422})
"""HTTP codes that say that the object, not the moment, is wrong."""


class StowPeer:
    """A DICOMweb destination.

    Parameters
    ----------
    destination : Destination
        Of kind stow.
    answer_s : float
        Longest wait for an answer, s.

    Raises
    ------
    ConfigError
        If a file of TLS or of the token cannot be read.
    """

    def __init__(self, destination: Destination, *, answer_s: float = ANSWER_S) -> None:
        self._url = f"{destination.url.rstrip('/')}/studies"
        verify = client_context(destination.tls) if destination.tls else True
        timeout = httpx.Timeout(answer_s, connect=CONNECT_S)
        self._client = httpx.Client(
            verify=verify, timeout=timeout, trust_env=False, headers=_authorization(destination)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def store(self, one: Outgoing) -> Answer:
        """Send an object; see :class:`~stenograde.pacs.answers.Peer`."""
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(head) + one.n_bytes + len(tail)),
            "Accept": "application/dicom+json",
        }
        try:
            body = _body(head, one, tail)
            with self._client.stream("POST", self._url, headers=headers, content=body) as response:
                return _answer(response, one.sop_uid)
        except httpx.HTTPError as exc:
            msg = f"destination must answer over HTTP, got {type(exc).__name__}; check url and TLS of both sides"
            raise DeliveryError(msg) from exc


def _authorization(destination: Destination) -> Mapping[str, str]:
    if destination.token_file is None:
        return {}
    try:
        token = destination.token_file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        msg = f"token_file must hold a token in ASCII, got {type(exc).__name__}"
        raise ConfigError(msg) from exc
    return {"Authorization": f"Bearer {token}"}


def _body(head: bytes, one: Outgoing, tail: bytes) -> Iterator[bytes]:
    yield head
    with one.path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    yield tail


def _answer(response: httpx.Response, sop_uid: str) -> Answer:
    """Return what was said to an object: by the answer's body where that names it, else by the code."""
    code = f"HTTP {response.status_code}"
    if response.status_code in {200, 202, 409}:
        named = _named(response, sop_uid)
        if named is not None:
            return named
        return Answer(Verdict.LATER, f"{code}, which does not say what became of the object")
    if response.status_code in _REFUSALS:
        return Answer(Verdict.REFUSED, code)
    return Answer(Verdict.LATER, code)


def _named(response: httpx.Response, sop_uid: str) -> Answer | None:
    content = b""
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > _MOST_ANSWER_BYTES:
            return None
    try:
        body: Any = json.loads(content)
        body = body[0] if isinstance(body, list) else body
        for sequence, reason in ((_FAILED, _FAILURE), (_STORED, _WARNING)):
            for item in body.get(sequence, {}).get("Value", ()):
                if item[_SOP_UID]["Value"][0] == sop_uid:
                    default = 0x0110 if sequence == _FAILED else 0
                    values = item.get(reason, {}).get("Value") or [default]
                    return _checked(int(values[0]), is_failure=sequence == _FAILED)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
    return None


def _checked(status: int, *, is_failure: bool) -> Answer:
    """Return the meaning of a code that must be a failure, or must be none, by where it stands."""
    answer = judged(status)
    if is_failure and answer.verdict is Verdict.STORED:
        return Answer(Verdict.LATER, answer.reason)
    if not is_failure and answer.verdict in {Verdict.REFUSED, Verdict.LATER}:
        return Answer(Verdict.WARNED, answer.reason)
    return answer
