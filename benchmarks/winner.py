"""Compute of a study beside that of a winner of RSNA 2024: products of the nets, and CPU seconds on one core.

    python benchmarks/winner.py STUDY [--rounds 3]

Ours is a process that grades the study twenty times, from DICOM files to 25 cells, start of Python included; of the
winner's only the nets are run, with random weights, on pictures of noise (timm, fp32). In turn, on one core. Products
count as two operations each: ours by the shapes within the shipped graphs on the very calls that the study makes, the
winner's by torch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

from stenograde.dicom.read.studies import read_study
from stenograde.heap import keep_freed_memory
from stenograde.nets.torchvision_ops import provide_torchvision_ops
from stenograde.predict.bundle import default_bundle
from stenograde.predict.grade import grade_study

WINNER = "6th place (sagittal part of its team's answer, one fold; nets only)"

NETS = (("coatnet_rmlp_2_rw_384", 384, 2), ("coatnet_1_rw_224", 224, 285), ("coatnet_2_rw_224", 224, 15))
"""Its nets by timm's names, their px, and how many pictures of a study go through each: one of each sagittal series for
the coordinates; 130 in crops of 13 slices by two nets, 25 in crops of five; 15 in crops of three
(github.com/TheoViel/kaggle_rsna_lumbar_spine)."""

TIMES = 20
"""How often a process of ours grades the study."""

OURS = """
import sys
from stenograde.workers import settle_in
settle_in(1)
from stenograde.dicom.read.studies import read_study
from stenograde.predict.bundle import default_bundle
from stenograde.predict.grade import grade_study
bundle = default_bundle()
for _ in range(int(sys.argv[2])):
    grade_study(read_study(sys.argv[1]), bundle)
"""

AT_ONCE = 4
"""Pictures that go through a net of the winner's at once."""

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators of ONNX that products are counted of."""

Call = tuple[str, tuple[tuple[str, tuple[int, ...], str], ...]]
"""A graph's file, and name, shape and type of what it was given."""


def calls_of(work: Callable[[], Any]) -> Counter[Call]:
    """Return how often some work calls each graph with what shapes."""
    calls: Counter[Call] = Counter()
    opened: dict[int, str] = {}
    session = onnxruntime.InferenceSession
    begin, run = session.__init__, session.run

    def opening(self: Any, path: Any, *others: Any, **options: Any) -> None:
        begin(self, path, *others, **options)
        opened[id(self)] = str(path)

    def running(self: Any, outputs: Any, fed: dict[str, np.ndarray], *others: Any) -> Any:
        calls[
            opened[id(self)],
            tuple((name, one.shape, one.dtype.name) for name, one in sorted(fed.items())),
        ] += 1
        return run(self, outputs, fed, *others)

    session.__init__, session.run = opening, running
    try:
        work()
    finally:
        session.__init__, session.run = begin, run
    return calls


def operations(call: Call) -> int:
    """Return the operations of a call, two for each product, by the shapes of all that its graph computes."""
    path, given = call
    model = onnx.load(path)
    nodes = [node for node in model.graph.node if node.op_type in PRODUCTS]
    told = {one.name for one in model.graph.output}
    needed = {name for node in nodes for name in (*node.input[:2], node.output[0])}
    known = {one.name: tuple(one.dims) for one in model.graph.initializer}
    extra = sorted(needed - told - set(known) - {one.name for one in model.graph.input})
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    fed = {name: np.zeros(shape, kind) for name, shape, kind in given}
    names = [one.name for one in session.get_outputs()]
    shapes = known | {name: one.shape for name, one in fed.items()}
    shapes |= {name: one.shape for name, one in zip(names, session.run(names, fed), strict=True)}
    return sum(2 * _products(node, shapes) for node in nodes)


def _products(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    first, second, out = (shapes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type == "Conv":
        return int(np.prod(out)) * int(np.prod(second[1:]))
    if node.op_type == "ConvTranspose":
        return int(np.prod(first)) * int(np.prod(second[1:]))
    turned = any(one.name == "transA" and one.i for one in node.attribute)
    return int(np.prod(out)) * first[-2 if turned else -1]


def own_seconds(study: Path) -> float:
    """Return the CPU seconds that a process of ours takes for a study."""
    process = subprocess.Popen([sys.executable, "-c", OURS, str(study), str(TIMES)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"grading the study must end with exit 0, got {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) / TIMES


@torch.inference_mode()
def seconds_of(nets: Sequence[tuple[torch.nn.Module, int, int]]) -> float:
    """Return the CPU seconds that the winner's nets take for a study."""
    total = 0.0
    for net, px, n in nets:
        pictures = torch.randn(min(AT_ONCE, n), 3, px, px)
        net(pictures)
        start = time.process_time()
        net(pictures)
        total += (time.process_time() - start) / len(pictures) * n
    return total


@torch.inference_mode()
def operations_of(nets: Sequence[tuple[torch.nn.Module, int, int]]) -> float:
    """Return the operations of the winner's nets for a study."""
    total = 0.0
    for net, px, n in nets:
        with FlopCounterMode(display=False) as counter:
            net(torch.zeros(1, 3, px, px))
        total += counter.get_total_flops() * n
    return total


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    keep_freed_memory()
    torch.set_num_threads(1)
    provide_torchvision_ops()
    import timm

    bundle = default_bundle()
    calls = calls_of(lambda: grade_study(read_study(arguments.study), bundle))
    counts = [float(sum(operations(call) * n for call, n in calls.items()))]
    nets = [(timm.create_model(name, pretrained=False).eval(), px, n) for name, px, n in NETS]
    counts.append(operations_of(nets))
    spent: list[tuple[float, float]] = []
    for _ in range(arguments.rounds):
        before = own_seconds(arguments.study)
        theirs = seconds_of(nets)
        spent.append(((before + own_seconds(arguments.study)) / 2, theirs))
    print(
        f"one core, medians of {arguments.rounds} rounds, timm {timm.__version__}, torch {torch.__version__}"
    )
    print("\n| | calls of nets | TFLOP a study | CPU s a study |\n|---|---:|---:|---:|")
    images = sum(calls.values()), sum(n for *_, n in NETS)
    for k, name in enumerate(("stenograde (DICOM to 25 cells)", WINNER)):
        seconds = [one[k] for one in spent]
        told = f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
        print(f"| {name} | {images[k]} | {counts[k] / 1e12:.3f} | {told} |")
    shares = [theirs / ours for ours, theirs in spent]
    told = f"{statistics.median(shares):.0f} ({min(shares):.0f} to {max(shares):.0f})"
    print(f"| times as much | | {counts[1] / counts[0]:.0f} | {told} |")


if __name__ == "__main__":
    main()
