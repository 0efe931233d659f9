"""``grade --cohort``: one worker against two, Ray against processes here, a worker that is killed, memory over a run.

    python benchmarks/cohort.py workers STUDIES [--studies 40] [--engine ray]   # 1 and 2 workers, rounds interleaved
    python benchmarks/cohort.py killed STUDIES [--studies 200]     # Ray, one worker killed mid-way, against a local run
    python benchmarks/cohort.py nodes STUDIES [--studies 20]       # two raylets on this machine, the same command
    python benchmarks/cohort.py memory [--studies 2000]            # small phantoms, resident memory of a worker

STUDIES is a folder of studies, such as ``train_images`` of what ``stenograde phantom`` writes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from ray.util import get_node_ip_address

WORKERS = re.compile(r"spawn_main|ray::MapWorker|ray::.*_Actor")
"""Command lines of processes that grade."""


def manifest_of(sources: list[Path], folder: Path) -> Path:
    """Write a manifest of some studies."""
    path = folder / "manifest.csv"
    path.write_text("source\n" + "".join(f"{one}\n" for one in sources))
    return path


def started(manifest: Path, out: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start a run."""
    command = [
        sys.executable,
        "-m",
        "stenograde",
        "grade",
        "--cohort",
        str(manifest),
        "--out",
        str(out),
        *words,
    ]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def timed(manifest: Path, out: Path, *words: str) -> tuple[float, float]:
    """Seconds of a run; and of them, for each study, those from the first tenth of studies to the ninth."""
    begin = time.perf_counter()
    process = started(manifest, out, *words)
    assert process.stderr is not None
    tenths, said = [], []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"(\d+) of \d+", line):
            tenths.append((int(found[1]), time.perf_counter()))
    if process.wait() not in {0, 2}:
        sys.exit(f"a run must end with 0 or 2, got {process.returncode}: {''.join(said)[-500:]}")
    (first, start), (last, stop) = tenths[0], tenths[-2]
    return time.perf_counter() - begin, (stop - start) / (last - first)


def table(out: Path, name: str) -> pa.Table:
    """Read a table of a run, without the seconds that studies took."""
    whole = pq.read_table(out / name)
    return whole.drop(["seconds"]) if "seconds" in whole.column_names else whole


def equal(one: Path, other: Path) -> bool:
    """Whether two runs have the same tables."""
    return all(table(one, name).equals(table(other, name)) for name in ("studies", "cells"))


def graders() -> list[psutil.Process]:
    """Return the processes that grade; one that ends meanwhile is none."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if WORKERS.search(" ".join(process.info["cmdline"] or []))
    ]


def quietly(*words: str | Path) -> None:
    """Run a command that says nothing."""
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def workers(studies: list[Path], rounds: int, engines: list[str]) -> None:
    """One worker against two, with some engines."""
    ways = [(engine, n) for engine in engines for n in (1, 2)]
    runs: dict[tuple[str, int], list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(rounds):
        for engine, n in ways if number % 2 == 0 else ways[::-1]:  # (a machine that drifts favours none)
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                words = ("--engine", engine, "--workers", str(n))
                runs[engine, n].append(timed(manifest_of(studies, folder), folder / "out", *words))
            wall, rate = runs[engine, n][-1]
            print(
                f"round {number + 1}: {engine}, {n}: {wall:.1f} s, {rate:.2f} a study",
                file=sys.stderr,
                flush=True,
            )
    medians = {way: [statistics.median(found) for found in zip(*runs[way], strict=True)] for way in ways}
    print(
        f"| engine | workers | s for {len(studies)} studies | s a study | under way |\n|---|---:|---:|---:|---:|"
    )
    for (engine, n), (wall, rate) in medians.items():
        print(f"| {engine} | {n} | {wall:.1f} | {wall / len(studies):.2f} | {rate:.2f} |")
    for engine in engines:
        wall, rate = (one / two for one, two in zip(medians[engine, 1], medians[engine, 2], strict=True))
        print(f"{engine}: two workers are {wall:.2f} times as fast as one; {rate:.2f} times once under way")


def killed(studies: list[Path]) -> None:
    """Kill a Ray worker when half is done, and compare the tables with those of a local run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        manifest = manifest_of(studies, folder)
        print(f"local: {timed(manifest, folder / 'local', '--workers', '2')[0]:.0f} s", flush=True)
        begin = time.perf_counter()
        process = started(manifest, folder / "ray", "--workers", "2", "--engine", "ray")
        assert process.stderr is not None
        n_killed = 0
        for line in process.stderr:
            if f"{len(studies) // 2} of {len(studies)}" in line:
                for victim in graders()[:1]:
                    victim.send_signal(signal.SIGKILL)
                    n_killed += 1
        process.wait()
        print(
            f"ray: {time.perf_counter() - begin:.0f} s, {n_killed} worker killed, exit {process.returncode}"
        )
        print(f"same tables: {equal(folder / 'local', folder / 'ray')}")


def nodes(studies: list[Path]) -> None:
    """Run on a cluster of two nodes, both on this machine, and compare with a local run."""
    ray = Path(sys.executable).with_name("ray")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        manifest = manifest_of(studies, folder)
        timed(manifest, folder / "local", "--workers", "2")
        try:
            address = f"{get_node_ip_address()}:6399"
            # nodes let nobody in without a token
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
            quietly(ray, "start", "--head", "--port=6399", "--num-cpus=1", "--include-dashboard=false")
            quietly(ray, "start", f"--address={address}", "--num-cpus=1")
            process = started(
                manifest, folder / "ray", "--workers", "2", "--engine", "ray", RAY_ADDRESS=address
            )
            places: set[int] = set()
            while process.poll() is None:
                for grader in graders():
                    with suppress(psutil.Error):  # (it may end meanwhile)
                        places.add(grader.ppid())
                time.sleep(0.5)
            print(f"exit {process.returncode}; workers had {len(places)} raylets as parents")
            print(f"same tables: {equal(folder / 'local', folder / 'ray')}")
        finally:
            quietly(ray, "stop", "--force")


def memory(n: int) -> None:
    """Resident memory of the command and of its worker over a run of small phantoms."""
    from tests.small_phantoms import SMALL

    from stenograde.phantom import write_cohort

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_cohort(folder / "phantoms", patients=4, seed=1, protocol=SMALL)
        sources = sorted(path for path in (folder / "phantoms/train_images").iterdir() if path.is_dir())
        manifest = manifest_of((sources * (n // len(sources) + 1))[:n], folder)
        process = started(manifest, folder / "out", "--workers", "2")
        assert process.stderr is not None
        curve = []
        for line in process.stderr:
            found = re.search(r"(\d+) of (\d+)", line)
            if found:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                held = sorted((round(one.memory_info().rss / 1e6) for one in family), reverse=True)[:3]
                curve.append((int(found[1]), held))
                print(f"{found[1]:>6} studies: {held} MB", flush=True)
        process.wait()
        print(json.dumps(curve))


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("workers", "killed", "nodes", "memory"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--studies", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=("local", "ray"), help="both if not given")
    asked = parser.parse_args()
    if asked.what == "memory":
        memory(asked.studies or 2000)
        return
    usual = {"workers": 40, "killed": 200, "nodes": 20}[asked.what]
    studies = sorted(path for path in asked.folder.iterdir() if path.is_dir())[: asked.studies or usual]
    if len(studies) < 3:
        parser.error(f"three studies or more, got {len(studies)} in {asked.folder}")
    if asked.what == "workers":
        workers(studies, asked.rounds, [asked.engine] if asked.engine else ["local", "ray"])
    elif asked.what == "killed":
        killed(studies)
    else:
        nodes(studies)


if __name__ == "__main__":
    main()
