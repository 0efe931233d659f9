"""Runs foreign decoders in a process of their own, which ends when it takes too long or too much memory.

Decoders that are seldom needed get the damaged and the hostile files, too: some then loop without end, ask for
all memory, or end the process. The process that does the work is started when it is first needed, and serves
one caller until it is closed.
"""

from __future__ import annotations

import json
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from stenograde.errors import UnreadableInstanceError

MAX_SECONDS: Final = 10.0
"""How long one frame may take, s; a sound one takes well under one."""

MAX_MEMORY_BYTES: Final = 4 << 30
"""Address space of the process; its libraries take about one gigabyte of it."""

MAX_PIXELS: Final = 1 << 26
"""Most pixels of one frame that are decoded at all; radiographs have up to 24 million."""

_START: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from stenograde.dicom.read.foreign import serve; serve()"
)
PARENT: Final = "STENOGRADE_PARENT"
"""Variable that tells the process who started it."""

_LENGTHS: Final = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """Which frame of a file is wanted, and how its pixels are written."""

    syntax: str
    """Transfer syntax UID."""
    rows: int
    columns: int
    n_frames: int
    frame: int
    """From 0."""


class ForeignDecoder:
    """A process that decodes frames by pydicom and its plugins; use it as a context."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._why_not = ""

    def __enter__(self) -> ForeignDecoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._end()

    def decode(self, data: bytes, request: FrameRequest) -> NDArray[Any]:
        """Decode one frame of a DICOM file.

        Returns
        -------
        stored : ndarray of shape (rows, columns), integer

        Raises
        ------
        UnreadableInstanceError
            If it cannot be decoded, or not within the limits; the message is the reason as a phrase.
        """
        with self._lock:
            if self._why_not:  # (what follows a frame that hung is not waited for)
                raise UnreadableInstanceError(self._why_not)
            try:
                reply, pixels = self._answer(data, request)
            except TimeoutError as exc:
                self._why_not = f"decoding took longer than {MAX_SECONDS:g} s"
                raise UnreadableInstanceError(self._why_not) from exc
            except (OSError, EOFError, ValueError) as exc:
                self._end()
                msg = "its decoder ended, or asked for too much memory"
                raise UnreadableInstanceError(msg) from exc
        if "refused" in reply:
            raise UnreadableInstanceError(str(reply["refused"]))
        return np.frombuffer(pixels, np.dtype(reply["dtype"])).reshape(request.rows, request.columns)

    def _answer(self, data: bytes, request: FrameRequest) -> tuple[dict[str, Any], bytes]:
        process = self._process = self._process or _started()
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + MAX_SECONDS
        try:
            send(process.stdin, asdict(request), data)
            head = _read(process.stdout, _LENGTHS.size, until)
            n_reply, n_pixels = _LENGTHS.unpack(head)
            reply = json.loads(_read(process.stdout, n_reply, until))
            return reply, _read(process.stdout, n_pixels, until)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                continue  # what was not yet written to a process that is gone
        process.wait()


def _started() -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", PARENT: str(os.getpid())}
    command = [sys.executable, "-c", _START, *sys.path]
    return subprocess.Popen(  # noqa: S603 (our own interpreter and words)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # (an interrupt from the keyboard is ours to handle)
    )


def _read(pipe: IO[bytes], length: int, until: float) -> bytes:
    """Read exactly so many bytes before a point in time."""
    parts, missing = [], length
    with selectors.DefaultSelector() as waiting:
        waiting.register(pipe, selectors.EVENT_READ)
        while missing:
            if not waiting.select(max(0.0, until - time.monotonic())):
                raise TimeoutError
            part = os.read(pipe.fileno(), min(missing, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            missing -= len(part)
    return b"".join(parts)


def send(pipe: IO[bytes], head: dict[str, Any], body: bytes) -> None:
    """Write one message: lengths, a head as JSON, and bytes."""
    text = json.dumps(head).encode()
    pipe.write(_LENGTHS.pack(len(text), len(body)) + text)
    pipe.write(body)
    pipe.flush()


def received(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None when the other side is gone."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    n_head, n_body = _LENGTHS.unpack(lengths)
    return json.loads(pipe.read(n_head)), pipe.read(n_body)
