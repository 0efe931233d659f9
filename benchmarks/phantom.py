"""CPU time that simulating a study takes, alone or in turn with another version.

    python benchmarks/phantom.py [--patients 2] [--rounds 3] [--contrast KIND] [--beside CHECKOUT]

With ``--beside``, another version (``git worktree add CHECKOUT REVISION``) writes the same patients in turn with this
one. One process, one thread; start of Python included. The table shows medians over rounds.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SEED = 7


def written(patients: int, words: list[str], checkout: Path | None = None) -> tuple[float, float]:
    """Write a cohort; return CPU seconds and MB of DICOM a study."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout / "src")
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["phantom", "--patients", str(patients), "--seed", str(SEED), "--workers", "1", *words]
        subprocess.run(
            [sys.executable, "-m", "stenograde", *command, "--out", folder],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.dcm")) / 1e6
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds / patients, size / patients


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contrast", help="a protocol drawn for each patient")
    parser.add_argument("--beside", type=Path, help="checkout of another version")
    asked = parser.parse_args()
    words = ["--contrast", asked.contrast] if asked.contrast else []
    seconds, others = [], []
    for _ in range(asked.rounds):
        if asked.beside:
            others.append(written(asked.patients, words, asked.beside)[0])
        taken, size = written(asked.patients, words)
        seconds.append(taken)
    print(f"| {asked.patients} patients, {asked.rounds} rounds | median | range |\n|---|---|---|")
    own = statistics.median(seconds)
    print(f"| CPU s a study | {own:.1f} | {min(seconds):.1f} to {max(seconds):.1f} |")
    if others:
        other = statistics.median(others)
        print(
            f"| {asked.beside.name}: CPU s a study | {other:.1f} | {min(others):.1f} to {max(others):.1f} |"
        )
        print(f"| share of its time | {own / other:.2f} | |")
    print(f"| MB a study | {size:.1f} | |")


if __name__ == "__main__":
    main()
