"""The files of a bundle: checked against their hash, graphs opened by ONNX Runtime; nothing is unpickled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stenograde.errors import BundleError

if TYPE_CHECKING:
    import onnxruntime


@dataclass(frozen=True)
class WeightFile:
    """A file of a bundle and the hash it must have."""

    file: str
    sha256: str


def check_file(folder: Path, entry: WeightFile) -> None:
    """Check that a file of a bundle is there and unaltered.

    Raises
    ------
    BundleError
        If it is missing or altered.
    """
    path = folder / entry.file
    if Path(entry.file).name != entry.file or not path.is_file():
        msg = (
            f"bundle file {entry.file!r} must lie in {folder.name}, got nothing there; copy the whole folder"
        )
        raise BundleError(msg)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != entry.sha256:
        msg = f"{entry.file} must have SHA-256 {entry.sha256[:12]}…, got {found[:12]}…; copy the bundle again"
        raise BundleError(msg)


def check_said(network: WeightFile, *said: NDArray[np.float32]) -> None:
    """Check that a network says numbers.

    Raises
    ------
    BundleError
        If one is not finite.
    """
    if not all(np.isfinite(one).all() for one in said):
        msg = f"{network.file} must give finite numbers, got others; copy the bundle again, or train it anew"
        raise BundleError(msg)


def open_graph(path: Path, *, keeps_memory: bool = False) -> onnxruntime.InferenceSession:
    """Open an ONNX graph on the CPU, to run on the thread that asks.

    What has several things to ask does so in several threads, :func:`stenograde.workers.in_threads`: that keeps all
    cores at work between two graphs, too, and threads that wait for a core keep none from others. A graph that is asked
    again and again ``keeps_memory`` of its largest run for the next.

    Raises
    ------
    BundleError
        If it is no graph, or none that ONNX Runtime can run.
    """
    import onnxruntime  # noqa: PLC0415 - 0.15 s that only inference needs
    from onnxruntime.capi import onnxruntime_pybind11_state as refusals  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = keeps_memory
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (
        refusals.Fail,
        refusals.InvalidArgument,
        refusals.InvalidGraph,
        refusals.InvalidProtobuf,
        refusals.NotImplemented,
    ) as exc:
        msg = f"{path.name} must be an ONNX graph that ONNX Runtime {onnxruntime.__version__} can run, got: {exc}"
        raise BundleError(msg) from exc
