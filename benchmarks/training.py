"""Times seed document S1's network, training and inference, against Keras 3 (on TensorFlow, on torch) and plain torch.

    python -m venv keras && keras/bin/pip install tensorflow-cpu torch keras scipy
    python benchmarks/training.py --keras-python keras/bin/python [--rounds 5] [--threads 2] [--learn 3]

Same layers (parameters are counted and compared), same batch, random pictures of 256 x 256 x 3 in memory. Every method
is a process of its own; one round runs each once, in turn, and the tables show medians over rounds. "stenograde" is
:func:`stenograde.train.loop.fit.fit` and :func:`stenograde.experiments.pictures.inference.predict_probabilities`
themselves. The peaks of matrix products and convolutions are measured in between, in the same rounds. ``--learn N``
also trains each method from scratch on made-up pictures and compares their accuracies on others. Needs the extra
``train`` and 4 to 6 GB of memory per method; ``--methods`` names fewer.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from workers import Worker, keras_worker

from stenograde.experiments.pictures.inference import predict_probabilities
from stenograde.heap import keep_freed_memory
from stenograde.images.pictures import InputConfig
from stenograde.nets.five_block_cnn import FiveBlockCnn, FiveBlockConfig
from stenograde.train.loop.fit import Batch, FitConfig, fit
from stenograde.train.loop.loss import LossConfig, build_loss
from stenograde.train.pictures.batches import BatchConfig, picture_batches, plain_batches

OURS = {"stenograde, bf16": "bf16", "stenograde, fp32": "32"}
PEERS = {
    "Keras 3 + TensorFlow, fp32": ("tensorflow", "float32"),
    "Keras 3 + TensorFlow, bf16": ("tensorflow", "mixed_bfloat16"),
    "Keras 3 + torch, fp32": ("torch", "float32"),
    "Keras 3 + torch, bf16": ("torch", "mixed_bfloat16"),
}
PLAIN = "torch, NCHW, fp32"
FIRST = "Keras 3 + TensorFlow, fp32"
"""What the document used: the others are compared with it."""

LEARN = {"n": 1200, "size": 32, "batch": 32, "epochs": 16, "rate": 1e-3}


class OnCommand:
    """Batches that are made when standard input says so, and answered for when the last step is done."""

    def __init__(self, net: nn.Module, size: int, batch: int, precision: str) -> None:
        self.net, self.batch, self.precision = net, batch, precision
        self.size, self.steps, self.started = size, 1, (0.0, 0.0)

    def __len__(self) -> int:
        return self.steps

    def batches(self, epoch: int, rank: int, world: int) -> Generator[Batch, None, None]:
        """Wait for commands; give batches for ``train``."""
        for line in sys.stdin:
            what, _, argument = line.strip().partition(" ")
            if what == "train":
                yield from self._steps(int(argument))
            elif what == "predict":
                pictures = _noise(int(argument) * self.batch, self.size)
                self._start()
                predict_probabilities(
                    self.net,
                    pictures,
                    InputConfig(3),
                    batch=self.batch,
                    precision=self.precision,
                    accelerator="cpu",
                )
                self._answer(len(pictures))
            else:
                print(json.dumps(learn(argument, self.precision)), flush=True)
        sys.exit()

    def _steps(self, n: int) -> Generator[Batch, None, None]:
        pictures = _noise(n * self.batch, self.size)
        codes = np.random.default_rng(1).integers(0, 3, len(pictures))
        plain = plain_batches(pictures, codes, InputConfig(3), batch=self.batch)
        self._start()
        yield from plain.batches(0, 0, 1)
        self._answer(len(pictures))

    def _start(self) -> None:
        self.started = (time.perf_counter(), time.process_time())

    def _answer(self, images: int) -> None:
        _answer(images, self.started, self.net)


def serve_ours(size: int, batch: int, precision: str) -> None:
    """Answer commands from within one endless epoch of the loop itself."""
    keep_freed_memory()
    net, other = (FiveBlockCnn(FiveBlockConfig(size_px=(size, size))) for _ in range(2))
    commands = OnCommand(other, size, batch, precision)
    commands.steps = 10**9
    config = FitConfig(
        epochs=1,
        batch=batch,
        optimiser="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        schedule="constant",
        clip=0.0,
        average=0.0,
        precision=precision,
        accelerator="cpu",
    )
    print("{}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        loss_of = build_loss(LossConfig(), np.arange(3), 3)
        fit(net, commands, config, loss_of=loss_of, folder=Path(folder))


def serve_torch(size: int, batch: int) -> None:
    """Answer commands with plain torch as tutorials write it: NCHW, fp32, nothing told to the allocator."""
    net = FiveBlockCnn(FiveBlockConfig(size_px=(size, size)))
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    print("{}", flush=True)
    for line in sys.stdin:
        what, _, argument = line.strip().partition(" ")
        if what == "learn":
            print("{}", flush=True)
            continue
        pictures = torch.rand(int(argument) * batch, 3, size, size)
        codes = torch.randint(0, 3, (len(pictures),))
        started = (time.perf_counter(), time.process_time())
        net.train(what == "train")
        for inputs, targets in zip(pictures.split(batch), codes.split(batch), strict=True):
            if what == "train":
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(inputs), targets).backward()
                optimiser.step()
            else:
                with torch.inference_mode():
                    net(inputs).softmax(1)
        _answer(len(pictures), started, net)


def serve_peak() -> None:
    """Answer ``peak fp32 bf16``: billions of operations per wall and CPU second of products and convolutions."""
    keep_freed_memory()
    print("{}", flush=True)
    for line in sys.stdin:
        told = {}
        for name in line.split()[1:]:
            kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[name]
            matrix = torch.rand(2048, 2048).to(kind)
            maps = torch.rand(16, 128, 64, 64).to(kind).to(memory_format=torch.channels_last)
            kernel = torch.rand(128, 128, 3, 3).to(kind).to(memory_format=torch.channels_last)
            told[f"product {name}"] = _rate(lambda m=matrix: m @ m, 2 * 2048**3)
            convolve = lambda m=maps, k=kernel: nn.functional.conv2d(m, k, padding=1)  # noqa: E731
            told[f"convolution {name}"] = _rate(convolve, 2 * 16 * 128 * 64 * 64 * 128 * 9)
        print(json.dumps(told), flush=True)


def _rate(work, operations: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    work()
    wall, cpu, n = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < 1.0 or n < 3:
        work()
        n += 1
    return (
        n * operations / (time.perf_counter() - wall) / 1e9,
        n * operations / (time.process_time() - cpu) / 1e9,
    )


def _answer(images: int, started: tuple[float, float], net: nn.Module) -> None:
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    # Keras counts running statistics as parameters, too, but not the norms' counters
    n = sum(value.numel() for name, value in net.state_dict().items() if "num_batches" not in name)
    print(json.dumps({"images": images, "wall": wall, "cpu": cpu, "parameters": n}), flush=True)


def _noise(n: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size)).astype(np.uint8)


def learn(file: str, precision: str) -> dict[str, float]:
    """Train a small network from scratch, keep its best epoch on validation, return loss and accuracy of a test."""
    stored = np.load(file)
    torch.manual_seed(int(stored["seed"]))
    size = stored["train"].shape[1]
    config = FitConfig(
        epochs=int(stored["epochs"]),
        batch=int(stored["batch"]),
        optimiser="adam",
        learning_rate=float(stored["rate"]),
        weight_decay=0.0,
        schedule="constant",
        clip=0.0,
        average=0.0,
        seed=int(stored["seed"]),
        precision=precision,
        accelerator="cpu",
    )
    train = picture_batches(stored["train"], stored["train_codes"], BatchConfig(augment=None), fit=config)
    net = FiveBlockCnn(FiveBlockConfig(size_px=(size, size)))
    loss_of = build_loss(LossConfig(), stored["train_codes"], 3)
    valid = plain_batches(stored["valid"], stored["valid_codes"], InputConfig(3), batch=config.batch)
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(net, train, config, loss_of=loss_of, folder=Path(folder), validation=valid).net
    p = predict_probabilities(fitted, stored["test"], InputConfig(3), precision=precision, accelerator="cpu")
    chosen = p[np.arange(len(p)), stored["test_codes"]]
    right = float((p.argmax(1) == stored["test_codes"]).mean())
    return {"loss": float(-np.log(chosen).mean()), "accuracy": right}


def made_up(path: Path, seed: int) -> Path:
    """Store pictures of three classes: a dark ring in noise whose width is the class, for ``--learn``."""
    rng = np.random.default_rng(seed)
    n, size = LEARN["n"], LEARN["size"]
    ends = {"train": n, "valid": n + 300, "test": n + 900}
    codes = rng.integers(0, 3, ends["test"])
    y, x = np.mgrid[:size, :size]
    centre = rng.uniform(0.35, 0.65, (2, len(codes), 1, 1)) * size
    radius = np.hypot(y - centre[0], x - centre[1])
    within = (
        np.abs(radius - rng.uniform(size / 6, size / 3, (len(codes), 1, 1)))
        < 1.0 + 1.0 * codes[:, None, None]
    )
    grey = 140 - 90 * within + rng.normal(0, 25, within.shape)
    pictures = np.clip(grey, 0, 255).astype(np.uint8)
    parts = {}
    for start, (name, end) in zip((0, *ends.values()), ends.items(), strict=False):
        parts |= {name: pictures[start:end], f"{name}_codes": codes[start:end]}
    how = {key: LEARN[key] for key in ("batch", "epochs", "rate")}
    np.savez(path, seed=seed, **how, **parts)
    return path


def operations(size: int) -> dict[str, float]:
    """Return operations per picture (two per multiply and add), in billions, of training and of inference."""
    net = FiveBlockCnn(FiveBlockConfig(size_px=(size, size)))
    with FlopCounterMode(display=False) as forward:
        output = net(torch.rand(2, 3, size, size))
    with FlopCounterMode(display=False) as backward:
        output.sum().backward()
    once = forward.get_total_flops() / 2e9
    return {"predict": once, "train": once + backward.get_total_flops() / 2e9}


def main() -> None:
    """Time all methods in turn and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keras-python", help="interpreter that has TensorFlow and Keras")
    parser.add_argument("--rounds", type=int, default=5, help="0: no timing, for --learn alone")
    parser.add_argument("--steps", type=int, default=4, help="batches per round")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--learn", type=int, default=0, metavar="SEEDS", help="also compare so many trainings"
    )
    parser.add_argument(
        "--methods",
        default="",
        help="only these, separated by semicolons, as the tables name them; each holds 4 to 6 GB",
    )
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve == "peak":
        serve_peak()
    elif asked.serve == "torch":
        serve_torch(asked.size, asked.batch)
    elif asked.serve:
        serve_ours(asked.size, asked.batch, asked.serve)
    else:
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    """Start every method, time them in rounds, and print what came of it."""
    with ExitStack() as running:
        workers = [running.enter_context(worker) for worker in _workers(asked)]
        peak = running.enter_context(Worker("peak", [*_here(asked), "peak"], asked.threads))
        print(_machine(workers, asked))
        _check_parameters(workers)
        peaks = []
        times: dict[tuple[str, str], list[tuple[float, float]]] = {}
        kinds = sorted({_kind_of(worker.name) for worker in workers}, reverse=True)
        for _ in range(asked.rounds):
            peaks.append(peak.ask(" ".join(["peak", *kinds])))
            for what in ("train", "predict"):
                for worker in workers:
                    got = worker.ask(f"{what} {asked.steps}")
                    rates = (got["images"] / got["wall"], got["images"] / got["cpu"])
                    times.setdefault((what, worker.name), []).append(rates)
        if asked.rounds:
            _print_rates(times, _print_peaks(peaks), operations(asked.size))
        if asked.learn:
            _print_learnt(workers, asked.learn)


def _shape(asked: argparse.Namespace) -> list[str]:
    return ["--size", str(asked.size), "--batch", str(asked.batch)]


def _here(asked: argparse.Namespace) -> list[str]:
    return [sys.executable, __file__, *_shape(asked), "--serve"]


def _workers(asked: argparse.Namespace) -> Generator[Worker, None, None]:
    """Start the methods that are asked for, peers first."""
    wanted = {name.strip() for name in asked.methods.split(";")} - {""}
    known = {*PEERS, PLAIN, *OURS}
    if wanted - known:
        sys.exit(
            f"--methods must be among {'; '.join(sorted(known))}, got {'; '.join(sorted(wanted - known))}"
        )
    for name, (backend, precision) in PEERS.items():
        if asked.keras_python and (not wanted or name in wanted):
            options = [*_shape(asked), "--precision", precision]
            yield keras_worker(asked.keras_python, options, name=name, threads=asked.threads, backend=backend)
    for name, serve in {PLAIN: "torch", **OURS}.items():
        if not wanted or name in wanted:
            yield Worker(name, [*_here(asked), serve], asked.threads)


def _check_parameters(workers: list[Worker]) -> None:
    """Warm every method up, and refuse to compare networks that are not the same."""
    counts = {worker.name: worker.ask("train 1")["parameters"] for worker in workers}
    for worker in workers:
        worker.ask("predict 1")
    if len(set(counts.values())) > 1:
        sys.exit(f"all methods must have the same layers, got these parameters: {counts}")
    print(f"{next(iter(counts.values())):,} parameters (running statistics included) in every method\n")


def _kind_of(method: str) -> str:
    """Return what a method calculates in."""
    return "bf16" if "bf16" in method else "fp32"


def _print_peaks(peaks: list[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    medians = {
        name: (statistics.median(p[name][0] for p in peaks), statistics.median(p[name][1] for p in peaks))
        for name in peaks[0]
    }
    print("| peak | GFLOP/s, wall | GFLOP per CPU second |\n|---|---:|---:|")
    for name, (wall, cpu) in medians.items():
        print(f"| {name} | {wall:.0f} | {cpu:.0f} |")
    return medians


def _print_rates(
    times: dict[tuple[str, str], list[tuple[float, float]]],
    peaks: dict[str, tuple[float, float]],
    work: dict[str, float],
) -> None:
    for what, each in work.items():
        print(f"\n{what}: {each:.2f} GFLOP per picture\n")
        print(
            "| method | per second, wall | range | per CPU second | of product, convolution peak | ÷ first: wall, CPU |"
        )
        print("|---|---:|---:|---:|---:|---:|")
        rows = {name: values for (kind, name), values in times.items() if kind == what}
        first = rows.get(FIRST) or next(iter(rows.values()))
        base = [statistics.median(column) for column in zip(*first, strict=True)]
        for name, values in rows.items():
            wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
            kind = _kind_of(name)
            shares = [each * cpu / peaks[f"{peak} {kind}"][1] for peak in ("product", "convolution")]
            low, high = min(v[0] for v in values), max(v[0] for v in values)
            print(
                f"| {name} | {wall:.2f} | {low:.2f} to {high:.2f} | {cpu:.2f} | "
                f"{shares[0]:.0%}, {shares[1]:.0%} | {wall / base[0]:.2f}, {cpu / base[1]:.2f} |"
            )


def _print_learnt(workers: list[Worker], seeds: int) -> None:
    print(
        f"\nfrom scratch on made-up pictures ({LEARN}), 300 others to choose the epoch and 600 to test, {seeds} seeds\n"
    )
    print("| method | accuracy: mean, each | loss | s, wall |\n|---|---|---|---:|")
    with tempfile.TemporaryDirectory() as folder:
        files = [made_up(Path(folder) / f"{seed}.npz", seed) for seed in range(seeds)]
        for worker in workers:
            started = time.perf_counter()
            got = [worker.ask(f"learn {file}") for file in files]
            wall = (time.perf_counter() - started) / seeds
            if not got[0]:
                continue
            accuracies, losses = ([one[name] for one in got] for name in ("accuracy", "loss"))
            shown = ", ".join(f"{value:.3f}" for value in accuracies)
            print(
                f"| {worker.name} | {statistics.mean(accuracies):.3f} ({shown}) | "
                f"{statistics.mean(losses):.3f} | {wall:.0f} |",
                flush=True,
            )


def _machine(workers: list[Worker], asked: argparse.Namespace) -> str:
    peers = {name: value for worker in workers for name, value in worker.hello.items()}
    ours = {name: version(name) for name in ("stenograde", "torch", "lightning-fabric")}
    versions = ", ".join(f"{name} {value}" for name, value in {**ours, **peers}.items())
    shape = f"batch {asked.batch}, {asked.size} px, {asked.rounds} rounds of {asked.steps} batches"
    return f"{platform.machine()}, {asked.threads} threads, {shape}, Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    main()
