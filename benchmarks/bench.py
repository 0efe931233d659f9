"""All tables of speed and memory, one after the other, into one dated file: what ``make bench`` runs.

    python benchmarks/bench.py --out build/bench [--study FOLDER] [--beside CHECKOUT] [--rounds 3]

STUDY is a real study, such as that of RSNA 2024; without one, a phantom stands for it, and the file says so. Nothing
else should run meanwhile. A table whose package or data is missing is skipped, with the reason.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
BF16 = ("avx512_bf16", "amx_bf16")
"""What a CPU needs one of for bf16: without, a step takes seven times as long as in fp32, and nobody would train so."""

FP32 = "stenograde, fp32;torch, NCHW, fp32"
"""Methods of ``training.py`` that need no bf16."""

PACKAGES = ("stenograde", "numpy", "scipy", "onnxruntime", "pydicom", "torch")


def machine() -> str:
    """Say what this runs on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    kinds = [name for name in ("avx2", "avx512f", "avx512_vnni", *BF16, "amx_int8") if name in flags()]
    cores = len(os.sched_getaffinity(0))
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{model} ({', '.join(kinds)}), {cores} cores, Python {platform.python_version()}, {packages}"


def flags() -> list[str]:
    """Return what this CPU can do, as Linux names it; nothing where the system does not say."""
    told = next((line for line in _lines("/proc/cpuinfo") if line.startswith("flags")), "")
    return told.partition(":")[2].split()


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.is_file() else []


def main() -> None:
    """Run every table and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--study", type=Path)
    parser.add_argument(
        "--beside", type=Path, help="checkout of another version, timed in turn with this one"
    )
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        phantoms = Path(scratch) / "phantoms"
        command = ("phantom", "--patients", "8", "--seed", "7", "--out", str(phantoms))
        subprocess.run([sys.executable, "-m", "stenograde", *command], check=True, stdout=subprocess.DEVNULL)
        studies = phantoms / "train_images"
        study = asked.study or next(path for path in sorted(studies.iterdir()) if path.is_dir())
        rounds = ("--rounds", str(asked.rounds))
        beside = ("--beside", str(asked.beside)) if asked.beside else ()
        tables = {
            "Reading a study (`ingest.py`)": ("ingest.py", str(study), *rounds),
            "Grading a study (`grade_study.py`)": (
                "grade_study.py",
                str(study),
                *rounds,
                "--many",
                "20",
                *beside,
            ),
            "A study beside the nets of a winner (`winner.py`)": ("winner.py", str(study), *rounds),
            "A cohort of 8 phantoms (`cohort.py workers`)": (
                "cohort.py",
                "workers",
                str(studies),
                "--rounds",
                "1",
            ),
            "Simulating studies (`phantom.py`)": ("phantom.py", *rounds, *beside),
            "Augmenting (`augment.py`)": ("augment.py", *rounds),
        }
        training, title = ("training.py", *rounds, "--steps", "1"), "Training (`training.py`)"
        if set(BF16) & set(flags()):
            tables[title] = training
        else:
            tables[f"{title}, without bf16, which this CPU lacks"] = (*training, "--methods", FP32)
        now = datetime.now(UTC)
        place = asked.out / f"{now:%Y-%m-%d}.md"
        kind = "a real study" if asked.study else "a phantom"
        place.write_text(
            f"# Benchmarks of {now:%d %B %Y}\n\n{machine()}. The study is {kind}.\n", encoding="utf-8"
        )
        for title, words in tables.items():
            print(f"{title} …", flush=True)
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, str(HERE / words[0]), *words[1:]],
                capture_output=True,
                text=True,
                check=False,
            )
            last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            said = done.stdout.strip() if done.returncode == 0 else f"skipped: {last}"
            took = time.perf_counter() - begin
            with place.open("a", encoding="utf-8") as file:
                file.write(f"\n## {title}\n\n{said}\n\n({took:.0f} s)\n")
    print(f"tables: {place}")


if __name__ == "__main__":
    main()
