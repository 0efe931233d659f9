"""Decodes frames by pydicom and its plugins: what our own codecs do not know, or refuse.

Encapsulated pixels are decoded here only within the process of :mod:`stenograde.dicom.read.apart`.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from stenograde.dicom.read.apart import MAX_MEMORY_BYTES, MAX_SECONDS, PARENT, FrameRequest, received, send
from stenograde.dicom.read.tolerant import read_dataset, recorded_warnings
from stenograde.errors import UnreadableInstanceError
from stenograde.workers import end_with


def decode_foreign(data: bytes, request: FrameRequest) -> NDArray[Any]:
    """Decode one frame of a DICOM file with pydicom and whatever decoder plugins are installed.

    Returns
    -------
    stored : ndarray of shape (rows, columns), integer

    Raises
    ------
    UnreadableInstanceError
        If none can; the message is the reason as a phrase.
    """
    ds, _ = read_dataset(data)
    with recorded_warnings():
        try:
            syntax = UID(request.syntax)
            if "TransferSyntaxUID" not in getattr(ds, "file_meta", {}):
                ds.ensure_file_meta()
                ds.file_meta.TransferSyntaxUID = syntax
            pixels = pixel_array(ds, decoding_plugin=_plugin(syntax))
            one = pixels.reshape(request.n_frames, -1)[request.frame]
        except Exception as exc:  # (broken pixels raise anything in a foreign decoder)
            msg = f"no decoder takes it ({type(exc).__name__})"
            raise UnreadableInstanceError(msg) from exc
    if one.size != request.rows * request.columns:
        msg = f"it decodes to {one.size} pixels, where the header says {request.rows} x {request.columns}"
        raise UnreadableInstanceError(msg)
    return np.ascontiguousarray(one).reshape(request.rows, request.columns)


def _plugin(syntax: UID) -> str:
    """Return the name of a decoder that answers damaged pixels with an error; gdcm ends the process instead."""
    if not syntax.is_encapsulated:
        return ""
    return next(name for name in get_decoder(syntax).available_plugins if name != "gdcm")


def serve() -> None:
    """Answer requests on standard input until it ends; what is decoded goes to standard output."""
    end_with(int(os.environ[PARENT]))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the replies
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    while (request := received(sys.stdin.buffer)) is not None:
        _limit_time()
        head, data = request
        try:
            pixels = decode_foreign(data, FrameRequest(**head))
            send(replies, {"dtype": pixels.dtype.str}, pixels.tobytes())
        except UnreadableInstanceError as exc:
            send(replies, {"refused": str(exc)}, b"")
        except MemoryError:
            send(replies, {"refused": "decoding asked for too much memory"}, b"")


def _limit_time() -> None:
    """End this process when the next frame takes too long, even if nobody is left who would."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + 2 * MAX_SECONDS) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
