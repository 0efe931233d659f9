"""Ten thousand damaged inputs at every door: each must end in words, in time, and grade nothing that was not read.

    python benchmarks/reliability.py --work FOLDER [--inputs 10000] [--minutes 60] [--workers 2]

Inputs are small phantoms and tables, damaged by a random generator that is seeded with the door and a number, so that
an input can be made again: ``--only DOOR:NUMBER`` makes and runs one, and leaves it in FOLDER. What was run is kept in
FOLDER/results.jsonl, and a second run goes on where the first one ended. The table goes to standard output.

Each batch runs in a process of its own, whose memory is limited and which is killed when one input takes longer than a
minute; the input is then counted as hung, and the batch goes on behind it. An input held if the exit code is 0 or 2
(with 2, one line on standard error), with no traceback, no letters that steer a terminal, no more than 2 GB, and no
grade that rests on a slice whose pixels an independent reader cannot read.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from damaged_inputs import SHARES, make_seeds, prepared, study_files

BATCH = 25
MAX_SECONDS = 60.0
MAX_BYTES = 2_000_000_000
_INDEPENDENT = {
    "1.2.840.10008.1.2": "",
    "1.2.840.10008.1.2.1": "",
    "1.2.840.10008.1.2.1.99": "",
    "1.2.840.10008.1.2.5": "pydicom",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
}
"""Plugin of pydicom by transfer syntax, none of our own codecs; for JPEG lossless there is none that is safe."""


def judged(words: list[str], place: Path) -> dict[str, object]:
    """Run a command in this process and say how it ended."""
    from stenograde.cli import main

    out, err = io.StringIO(), io.StringIO()
    peak_bytes(reset=True)
    start = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    told, bad = err.getvalue(), []
    if code not in (0, 2):
        bad.append("fault")
    if "Traceback" in told + out.getvalue():
        bad.append("traceback")
    if code == 2 and told.count("\n") != 1:
        bad.append("not one line")
    if "\x1b" in told + out.getvalue():
        bad.append("steers the terminal")
    peak = peak_bytes()
    if peak > MAX_BYTES:
        bad.append("memory")
    if (place / "out" / "grades.json").exists() and rests_on_unread(place):
        bad.append("graded unread")
    seconds = round(time.monotonic() - start, 2)
    return {"code": code, "seconds": seconds, "peak": peak, "bad": bad, "told": told[:300] if bad else ""}


def peak_bytes(*, reset: bool = False) -> int:
    """Largest resident set since the last reset."""
    if reset:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def rests_on_unread(place: Path) -> bool:
    """Whether the evidence of a grade names a slice whose pixels pydicom cannot decode."""
    if not (place / "in").is_dir():
        return False
    import pydicom

    grades = json.loads((place / "out" / "grades.json").read_text(encoding="utf-8"))
    rested = {item["sop_instance_uid"] for cell in grades["cells"] for item in cell["evidence"]}
    readable = set()
    for path in study_files(place / "in"):
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path)
            for keyword, value in {
                "SamplesPerPixel": 1,
                "BitsAllocated": 16,
                "BitsStored": 12,
                "HighBit": 11,
                "PixelRepresentation": 0,
            }.items():
                if not str(ds.get(keyword, "")):
                    setattr(ds, keyword, value)
            ds.PhotometricInterpretation = "MONOCHROME2"
            if "TransferSyntaxUID" not in ds.file_meta:
                ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"  # what a file without it is read as
            syntax = str(ds.file_meta.TransferSyntaxUID)
            uid = str(ds.get("SOPInstanceUID") or ds.file_meta.MediaStorageSOPInstanceUID)
            if syntax in _INDEPENDENT:
                ds.pixel_array_options(decoding_plugin=_INDEPENDENT[syntax])
            if syntax not in _INDEPENDENT or ds.pixel_array.size:
                readable.add(uid)
    return bool(rested - readable)


def serve(work: Path, door: str, numbers: range, *, keep: bool = False) -> None:
    """Run inputs one after the other; a line before each, so that one that hangs or kills is known."""
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    for number in numbers:
        print(json.dumps({"door": door, "number": number}), flush=True)
        place = work / "inputs" / f"{door}-{number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        words = prepared(door, number, work, place)
        if keep:
            print(" ".join(words), flush=True)
        result = judged(words, place)
        if not keep and not result["bad"]:
            shutil.rmtree(place, ignore_errors=True)
        print(json.dumps({"door": door, "number": number, **result}), flush=True)


def run_batch(work: Path, door: str, numbers: range) -> Iterator[dict[str, object]]:
    """Run a batch in a process; one that hangs or ends twice is counted, and the rest is run in another."""
    tried = -1
    while numbers:
        command = [
            sys.executable,
            __file__,
            "--work",
            str(work),
            "--serve",
            door,
            str(numbers.start),
            str(numbers.stop),
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert process.stdout is not None
        begun, since, text = numbers.start - 1, time.monotonic(), b""
        why = ""
        while not why:
            waiting, _, _ = select.select([process.stdout], [], [], 1.0)
            part = os.read(process.stdout.fileno(), 1 << 16) if waiting else b""
            *lines, text = (text + part).split(b"\n")
            for one in map(json.loads, lines):
                begun, since = one["number"], time.monotonic()
                if "code" in one:
                    yield one
                    numbers = range(one["number"] + 1, numbers.stop)
            if waiting and not part:
                why = "ended" if numbers else "done"
            elif time.monotonic() - since > MAX_SECONDS + (60 if begun < numbers.start else 0):
                why = "hung"
        process.kill()
        process.wait()
        process.stdout.close()
        number = max(begun, numbers.start)
        if why != "done" and tried != number:
            tried = number  # (a machine that is busy with other work may keep anything waiting for a minute)
        elif why != "done":
            code = process.returncode
            yield {
                "door": door,
                "number": number,
                "code": code,
                "seconds": MAX_SECONDS,
                "peak": 0,
                "bad": [why],
                "told": "",
            }
            numbers = range(number + 1, numbers.stop)


def run_all(work: Path, inputs: int, minutes: float, workers: int) -> list[dict[str, object]]:
    """Run what was not yet run, until all are or the time is over."""
    results = work / "results.jsonl"
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    seen = {(one["door"], one["number"]) for one in done}
    whole = sum(SHARES.values())
    batches = []
    for door, share in SHARES.items():
        total = -(-inputs * share // whole)
        for start in range(0, total, BATCH):
            first = next((n for n in range(start, min(start + BATCH, total)) if (door, n) not in seen), None)
            if first is not None:
                batches.append((start / total, door, range(first, min(start + BATCH, total))))
    until = time.monotonic() + 60 * minutes
    with results.open("a") as file, ThreadPoolExecutor(workers) as pool:

        def work_on(batch: tuple[float, str, range]) -> None:
            if time.monotonic() < until:
                for one in run_batch(work, *batch[1:]):
                    if (one["door"], one["number"]) not in seen:
                        file.write(json.dumps(one) + "\n")
                        file.flush()
                        done.append(one)

        list(pool.map(work_on, sorted(batches)))  # (all doors from the start, should the time not suffice)
    return done


def table_of(done: list[dict]) -> str:
    """Return the table of the page, by door."""
    lines = [
        "| door | inputs | read or graded | refused in one line | fell | longest, s | most memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for door in (*SHARES, "all"):
        of_door = [one for one in done if door in {one["door"], "all"}]
        if not of_door:
            continue
        fell = sum(bool(one["bad"]) for one in of_door)
        good = sum(one["code"] == 0 and not one["bad"] for one in of_door)
        longest, most = max(one["seconds"] for one in of_door), max(one["peak"] for one in of_door) / 1e6
        cells = (door, len(of_door), good, len(of_door) - good - fell, fell, f"{longest:.1f}", f"{most:.0f}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", metavar="DOOR:NUMBER")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    work = asked.work.absolute()
    if asked.serve:
        door, start, stop = asked.serve
        serve(work, door, range(int(start), int(stop)))
        return
    work.mkdir(parents=True, exist_ok=True)
    make_seeds(work)
    if asked.only:
        door, _, number = asked.only.partition(":")
        serve(work, door, range(int(number), int(number) + 1), keep=True)
        return
    done = run_all(work, asked.inputs, asked.minutes, asked.workers)
    print(table_of(done))
    for one in done:
        if one["bad"]:
            print(f"fell: {one['door']}:{one['number']} {', '.join(one['bad'])} {one['told']!r}")


if __name__ == "__main__":
    main()
