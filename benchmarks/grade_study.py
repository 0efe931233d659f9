"""Wall time and peak memory of a whole ``stenograde grade``, and where the time goes.

    python benchmarks/grade_study.py STUDY [--rounds 5] [--beside CHECKOUT] [--many 50]

With ``--beside``, another version (``git worktree add CHECKOUT REVISION``) is timed in turn with this one. With
``--many``, so many copies of the study are graded in one call, too.

The whole process is timed from outside, start of Python included; its peak memory is the largest resident set
that the kernel saw. The breakdown comes from a second kind of run that times each step within one process.
Both kinds alternate; the table gives medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

STEPS = """
import json, sys, time
start = time.perf_counter()
laps = {}
def lap(name):
    global start
    now = time.perf_counter(); laps[name] = now - start; start = now
import stenograde
from stenograde.dicom.read.studies import read_study
from stenograde.levels.measure import measure_canal
from stenograde.levels.sac import measure_sac
from stenograde.predict.bundle import default_bundle
from stenograde.predict.grade import grade_study
from stenograde.predict.locate import locate_study
from stenograde.report.as_html import as_html
from stenograde.report.as_json import as_json
from stenograde.terms import Role
bundle = default_bundle()
bundle.locate(__import__("numpy").zeros((1, 1, 64, 64), "float32"))
lap("start (imports, bundle, runtime)")
study = read_study(sys.argv[1])
lap("read (headers, stacks, roles)")
for series, volume in study.volumes():
    if series.role in (Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR):
        volume.pixels
lap("decode the sagittal slices")
located = locate_study(study, bundle, whole=False)
lap("locate (two sagittal series)")
measured = measure_canal(located.points, located.stack.intensities)
axial = study.by_role(Role.AXIAL_T2)
if axial is not None:
    measure_sac(axial, located.points, measured)
lap("measure (and decode five axial slices)")
grades = grade_study(study, bundle)
start = time.perf_counter()
as_json(grades); as_html(grades, study)
lap("report (JSON and HTML)")
print(json.dumps(laps))
"""


def whole(study: Path, checkout: Path | None = None, copies: int = 1) -> tuple[float, float]:
    """Wall seconds and peak megabytes of a process of ``stenograde grade``, of another checkout if one is given."""
    environment = dict(os.environ, **({"PYTHONPATH": str(checkout / "src")} if checkout else {}))
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        command = [sys.executable, "-m", "stenograde", "grade", *[str(study)] * copies, "--out", out]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"stenograde grade must end with exit 0, got {process.returncode}")
    return wall, usage.ru_maxrss / 1024


def steps(study: Path) -> dict[str, float]:
    """Seconds of each step within one process."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(study)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--beside", type=Path, help="checkout of another version")
    parser.add_argument(
        "--many", type=int, default=0, help="copies of the study to grade in one call as well"
    )
    arguments = parser.parse_args()
    walls, peaks, laps, others, many = [], [], [], [], []
    for _ in range(arguments.rounds):
        if arguments.beside:
            others.append(whole(arguments.study, arguments.beside))
        wall, peak = whole(arguments.study)
        walls.append(wall)
        peaks.append(peak)
        laps.append(steps(arguments.study))
        if arguments.many:
            many.append(whole(arguments.study, copies=arguments.many)[0] / arguments.many)
    threads = len(os.sched_getaffinity(0))
    print(f"{platform.machine()}, {threads} cores, Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version(name)}" for name in ("stenograde", "onnxruntime", "numpy", "pydicom")))
    print(f"\n| whole process, {arguments.rounds} rounds | median | range |\n|---|---|---|")
    print(f"| wall, s | {statistics.median(walls):.2f} | {min(walls):.2f} to {max(walls):.2f} |")
    print(f"| peak memory, MB | {statistics.median(peaks):.0f} | {min(peaks):.0f} to {max(peaks):.0f} |")
    if many:
        told = f"{min(many):.2f} to {max(many):.2f}"
        print(f"| {arguments.many} in one call: wall, s a study | {statistics.median(many):.2f} | {told} |")
    if others:
        wall, peak = (statistics.median(one) for one in zip(*others, strict=True))
        share = statistics.median(walls) / wall
        print(
            f"| {arguments.beside.name}: wall, s; peak memory, MB | {wall:.2f}; {peak:.0f} | {share:.2f} of it |"
        )
        if many:
            print(f"| many against it | | {statistics.median(many) / wall:.2f} of it |")
    print("\n| step | median s |\n|---|---|")
    for name in laps[0]:
        print(f"| {name} | {statistics.median(lap[name] for lap in laps):.2f} |")
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nCPU seconds of all runs together: {own.ru_utime + own.ru_stime:.1f}")


if __name__ == "__main__":
    main()
