"""Requests that no sender makes: right ones of C-STORE and STOW-RS with something changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.dicom_files import STUDY
from tests.dicom_peers import associate_request, store_request

TOKEN = b"a-token-for-the-fuzz-of-the-port"
STUDIES = b"/dicom-web/studies"
MULTIPART = b'multipart/related; type="application/dicom"; boundary=XX'

PLACEHOLDER = 1_000_000
"""Number in the UIDs of an object that is to have others; of seven digits, as all of them."""


@dataclass(frozen=True)
class Request:
    """Bytes that are sent to a port, and what may be expected of it."""

    kind: str
    data: bytes
    is_whole: bool = True
    """Whether the port has all that it has reason to wait for, and so must answer or hang up by itself."""
    pieces: int = 1
    """In how many it is sent."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes with up to four changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, n = rng.randrange(len(changed) + 1), rng.choice((1, 2, 4, 64))
        match rng.randrange(5):
            case 0:
                changed[at : at + n] = rng.randbytes(n)
            case 1:
                del changed[at : at + n]
            case 2:
                changed[at:at] = rng.randbytes(n)
            case 3:
                changed[at:at] = changed[at : at + n]
            case 4:
                changed[at : at + n] = bytes([rng.choice((0, 1, 0x7F, 0xFF))]) * n
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.2 else changed)


@dataclass
class Objects:
    """DICOM objects, whose numbers make each of a study and an instance of its own.

    Parameters
    ----------
    small, large : bytes
        Files with :data:`PLACEHOLDER` in their UIDs.
    evil : bytes
        Names that must not become paths: relative ones, and an absolute one of a place that is looked at.
    """

    small: bytes
    large: bytes
    evil: tuple[bytes, ...]

    def numbered(self, number: int, *, is_large: bool = False) -> bytes:
        """Return the object of a number."""
        return _numbered(self.large if is_large else self.small, number)

    def odd(self, number: int, rng: random.Random) -> bytes:
        """Return an object with something changed, sometimes its UIDs to a path."""
        data = self.numbered(number, is_large=rng.random() < 0.002)
        if rng.random() < 0.2:
            uid = STUDY.encode()
            path = rng.choice(self.evil)
            return data.replace(uid, (path * (1 + len(uid) // len(path)))[: len(uid)], rng.randint(1, 9))
        return mutated(data, rng)


@dataclass
class DicomRequests:
    """Associations and P-DATA; see :class:`Objects`."""

    objects: Objects
    head_bytes: int
    """Length of what is before the data set in a file."""

    def right(self, number: int) -> bytes:
        """Return a C-STORE to be sent on an association."""
        return self.store(self.objects.numbered(number, is_large=number % 20 == 0), number)

    def odd(self, number: int, rng: random.Random) -> tuple[bytes, bytes]:
        """Return an association request, and what to send when it is accepted."""
        request = associate_request()
        if rng.random() < 0.3:
            return mutated(request, rng), b""
        if rng.random() < 0.3:
            return request, self.store(self.objects.odd(number, rng), number)
        if rng.random() < 0.1:
            return request, self.store(b"", number)
        stored = self.store(self.objects.numbered(number), number)
        return request, mutated(stored * rng.choice((1, 1, 1, 12)), rng)

    def store(self, file: bytes, number: int) -> bytes:
        """Return a C-STORE of a file."""
        return store_request(file[self.head_bytes :], sop_uid=f"{STUDY}.1.{PLACEHOLDER + number}")


def post(
    body: bytes,
    *,
    path: bytes = STUDIES,
    token: bytes = TOKEN,
    kind: bytes = MULTIPART,
    method: bytes = b"POST",
    framing: bytes | None = None,
) -> bytes:
    """Return the bytes of a request; framed by its length where nothing else is told."""
    framing = b"Content-Length: %d" % len(body) if framing is None else framing
    lines = (
        b"%s %s HTTP/1.1" % (method, path),
        b"Host: x",
        b"Authorization: Bearer %s" % token,
        b"Content-Type: %s" % kind,
        b"Connection: close",
        framing,
    )
    return b"\r\n".join(line for line in lines if line) + b"\r\n\r\n" + body


def multipart(*parts: bytes) -> bytes:
    """Return the body of a STOW-RS request."""
    head = b"--XX\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + part + b"\r\n" for part in parts) + b"--XX--\r\n"


def chunked(body: bytes, rng: random.Random) -> bytes:
    """Return a body in chunks."""
    framed = b""
    while body:
        n = rng.choice((1, 2, 100, 4000, len(body)))
        framed += b"%x\r\n" % len(body[:n]) + body[:n] + b"\r\n"
        body = body[n:]
    return framed + b"0\r\n\r\n"


@dataclass
class StowRequests:
    """Requests of STOW-RS and what else comes to an HTTP port; see :class:`Objects`."""

    objects: Objects
    kinds: tuple[Callable[[bytes, random.Random], Request], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.kinds = (
            _body,
            _body,
            _head,
            _length,
            _chunks,
            _boundary,
            _type,
            _token,
            _address,
            _parts,
            _stray,
        )

    def right(self, number: int) -> bytes:
        """Return a request to keep an object."""
        return post(multipart(self.objects.numbered(number, is_large=number % 20 == 0)))

    def odd(self, number: int, rng: random.Random) -> Request:
        """Return a request with something changed."""
        parts = [self.objects.odd(number, rng) for _ in range(rng.choice((1, 1, 2, 5)))]
        if rng.random() < 0.1:
            return Request("object", post(multipart(*parts)))
        good = multipart(self.objects.numbered(number), *parts[1:])
        made = rng.choice(self.kinds)(good, rng)
        return replace(made, pieces=rng.choice((1, 1, 1, 2, 30)))


def _body(body: bytes, rng: random.Random) -> Request:
    return Request("body", post(mutated(body, rng)))


def _head(body: bytes, rng: random.Random) -> Request:
    head, _, body = post(body).partition(b"\r\n\r\n")
    return Request("head", mutated(head, rng) + b"\r\n\r\n" + body, is_whole=False)


def _length(body: bytes, rng: random.Random) -> Request:
    n = rng.choice((-1, 0, 1, len(body) - 9, len(body) + 1, 10 * len(body), 1 << 31, 1 << 63, 10**30))
    framing = b"Content-Length: %d" % n
    if rng.random() < 0.2:
        framing += rng.choice((b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked", b", 5", b"x"))
    return Request("length", post(body, framing=framing), is_whole=False)


def _chunks(body: bytes, rng: random.Random) -> Request:
    kind = rng.choice((b"chunked", b"chunked", b"gzip, chunked", b"identity", b"chunked, chunked"))
    framing, framed = b"Transfer-Encoding: " + kind, chunked(body, rng)
    if kind == b"chunked" and rng.random() < 0.5:
        return Request("chunked", post(framed, framing=framing))
    if rng.random() < 0.3:
        framed = framed.replace(b"\r\n", b";" + b"x" * rng.choice((9, 9000, 90000)) + b"\r\n", 1)
    return Request("chunks", post(mutated(framed, rng), framing=framing), is_whole=False)


def _boundary(body: bytes, rng: random.Random) -> Request:
    boundary = rng.choice(
        (b"", b"X", b'"XX"', b'"X', b"X" * 70, b"X" * 5000, b"--XX", b"XX\x80", b"X;X", b"-")
    )
    if rng.random() < 0.3:
        body = body[: -rng.randint(1, 8)]  # (without the last one)
        boundary = b"XX"
    return Request("boundary", post(body, kind=b"multipart/related; boundary=" + boundary))


def _type(body: bytes, rng: random.Random) -> Request:
    kinds = (
        b"application/dicom",
        b"",
        b"multipart/form-data; boundary=XX",
        b"\xff\xfe",
        b";" * 900,
        b"a" * 9000,
    )
    inner = rng.choice(
        (b"text/plain", b"application/dicom+json", b"application/dicom\r\nContent-Length: -1", b"")
    )
    if rng.random() < 0.5:
        return Request("type", post(body, kind=rng.choice(kinds)))
    return Request("type of part", post(body.replace(b"application/dicom", inner)))


def _token(body: bytes, rng: random.Random) -> Request:
    token = rng.choice((b"", TOKEN[:-1], TOKEN + b"x", b"\x80" * 9, b"x" * 9000, mutated(TOKEN, rng)))
    is_text = not any(byte < 32 or byte == 127 for byte in token)
    return Request("token", post(body, token=token), is_whole=is_text)


def _address(body: bytes, rng: random.Random) -> Request:
    up = b"/../" * rng.randint(1, 6)
    path = rng.choice(
        (
            *(
                STUDIES + up + b"x",
                STUDIES + b"/%2e%2e%2f%2e%2e%2fx",
                STUDIES + b"/%00",
                STUDIES + b"/" + b"9" * 9000,
            ),
            *(b"/studies/" + up + b"/complete", b"/studies/%ff%fe/complete", b"/studies/1.2.3/complete"),
            *(
                b"/jobs",
                b"/metrics",
                b"/ready",
                b"/health",
                b"*",
                b"//",
                b"/" + b"a/" * 900,
                b"http://x/jobs",
            ),
        )
    )
    method = rng.choice(
        (b"GET", b"POST", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"X")
    )
    return Request("address", post(body, path=path, method=method))


def _parts(body: bytes, rng: random.Random) -> Request:
    n = 20_050 if rng.random() < 0.002 else rng.choice((0, 1, 10, 100))
    match rng.randrange(3):
        case 0:
            return Request("parts", post(multipart(*[b""] * n)))
        case 1:
            return Request("parts", post(b"--XX\r\n" * n + body))
        case _:
            line = b"A: " + b"x" * rng.choice((1, 900, 90_000)) + b"\r\n"
            return Request("parts", post(body.replace(b"\r\n", b"\r\n" + line * rng.choice((1, 9, 90)), 1)))


def _stray(body: bytes, rng: random.Random) -> Request:
    strays = (
        *(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(99),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ),
        *(associate_request(), b"GET /health\r\n\r\n", rng.randbytes(2000), b"\r\n" * 2000, b"A" * 99_999),
        *(
            b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 9000,
            b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        ),
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + post(body),
        post(body, framing=b"Expect: 100-continue\r\nContent-Length: %d" % len(body)),
    )
    return Request("stray", rng.choice(strays), is_whole=False)


def _numbered(file: bytes, number: int) -> bytes:
    return file.replace(str(PLACEHOLDER).encode(), str(PLACEHOLDER + number).encode())
