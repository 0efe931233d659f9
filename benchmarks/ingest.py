"""Times reading a study into sorted float volumes, against the peers, interleaved.

    python benchmarks/ingest.py STUDY [--rounds N] [--threads N]

STUDY is a folder of DICOM series; it is also written again, to a temporary folder, in each transfer syntax
that the table names. Every method gives float32 volumes of all series. One round runs every method once, in
turn; the table shows medians over rounds, of CPU seconds (children included) where one thread is used, since
a neighbour on the machine hardly moves them, and of wall seconds otherwise. Pixels are first checked to be
bit-equal to pydicom's. Needs the extra ``benchmarks`` and the development tools.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.metadata import version
from pathlib import Path

import dicomsdl
import imagecodecs
import numpy as np
import SimpleITK
from monai.data import PydicomReader
from monai.transforms import LoadImage
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import RLELossless

from stenograde.dicom.read.opening import find_files, read_instance
from stenograde.dicom.read.studies import read_study
from stenograde.terms import Role

warnings.simplefilter("ignore")  # the peers' warnings about the study are not what is measured
SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)

SYNTAXES = {
    "uncompressed": "1.2.840.10008.1.2.1",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "HTJ2K": "1.2.840.10008.1.2.4.201",
}
PACKAGES = (
    "stenograde",
    "imagecodecs",
    "pydicom",
    "python-gdcm",
    "simpleitk",
    "monai",
    "dicomsdl",
    "dcm2niix",
)


def encoded(pixels: np.ndarray, name: str, bits: int) -> bytes:
    """Encode one slice."""
    if name == "RLE":
        rows, columns = pixels.shape
        return get_encoder(RLELossless).encode(
            pixels,
            rows=rows,
            columns=columns,
            samples_per_pixel=1,
            number_of_frames=1,
            bits_allocated=16,
            bits_stored=bits,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
        )
    encode: dict[str, Callable[[np.ndarray], bytes]] = {
        "JPEG lossless": lambda one: imagecodecs.jpeg8_encode(
            one, lossless=True, bitspersample=16, predictor=1
        ),
        "JPEG-LS": imagecodecs.jpegls_encode,
        "JPEG 2000": lambda one: imagecodecs.jpeg2k_encode(
            one, codecformat="j2k", reversible=True, bitspersample=bits, level=0
        ),
        "HTJ2K": imagecodecs.htj2k_encode,
    }
    return encode[name](pixels)


def rewrite(study: Path, target: Path, name: str) -> Path:
    """Write a study again in another transfer syntax."""
    for path in sorted(path for path in study.rglob("*") if path.is_file()):
        ds = dcmread(path)
        pixels = np.ascontiguousarray(ds.pixel_array)
        ds.file_meta.TransferSyntaxUID = SYNTAXES[name]
        if name == "uncompressed":
            ds.PixelData = pixels.tobytes()
            ds["PixelData"].VR = "OW"
            ds["PixelData"].is_undefined_length = False
        else:
            ds.PixelData = encapsulate([encoded(pixels, name, ds.BitsStored)])
            ds["PixelData"].VR = "OB"
            ds["PixelData"].is_undefined_length = True
        out = target / path.relative_to(study)
        out.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(out)
    return target


def folders(study: Path) -> list[Path]:
    """Folders that hold files, each one series."""
    return sorted({path.parent for path in study.rglob("*") if path.is_file()})


@cache
def known_roles(study: Path) -> dict[str, Role]:
    """Roles of a study's series, so that reading need not look at pictures to find them."""
    return {series.uid: series.role for series in read_study(study).series if series.role is not None}


def by_stenograde(study: Path) -> list[np.ndarray]:
    """Read with this package, the roles of the series being given, as no peer looks for them."""
    return [volume.pixels for _, volume in read_study(study, roles=known_roles(study)).volumes()]


def by_stenograde_looking(study: Path) -> list[np.ndarray]:
    """Read with this package, which judges series without times in the header by their pictures."""
    return [volume.pixels for _, volume in read_study(study).volumes()]


def headers_by_stenograde(study: Path) -> list[object]:
    """Headers only."""
    return [read_instance(file) for file in find_files(study)]


def headers_by_pydicom(study: Path) -> list[object]:
    """Headers only."""
    return [dcmread(path, stop_before_pixels=True) for path in study.rglob("*") if path.is_file()]


def by_pydicom(study: Path) -> list[np.ndarray]:
    """Read with pydicom, sort by n·p, stack as float32."""
    volumes = []
    for folder in folders(study):
        slices = []
        for path in folder.iterdir():
            ds = dcmread(path)
            cosines = np.asarray(ds.ImageOrientationPatient, float)
            normal = np.cross(cosines[:3], cosines[3:])
            slices.append((float(normal @ np.asarray(ds.ImagePositionPatient, float)), ds.pixel_array))
        slices.sort(key=lambda one: one[0])
        volumes.append(np.stack([pixels for _, pixels in slices]).astype(np.float32))
    return volumes


def by_simpleitk(study: Path) -> list[np.ndarray]:
    """Read each folder with SimpleITK's series reader, as float32."""
    volumes = []
    for folder in folders(study):
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
        reader.SetOutputPixelType(SimpleITK.sitkFloat32)
        volumes.append(SimpleITK.GetArrayFromImage(reader.Execute()))
    return volumes


def by_monai(study: Path) -> list[np.ndarray]:
    """Read each folder with MONAI's LoadImage and its PydicomReader."""
    load = LoadImage(reader=PydicomReader(), image_only=True, dtype=np.float32)
    return [load(str(folder)).numpy() for folder in folders(study)]


def by_dicomsdl(study: Path) -> list[np.ndarray]:
    """Read with dicomsdl, sort by n·p, stack as float32."""
    volumes = []
    for folder in folders(study):
        slices = []
        for path in folder.iterdir():
            ds = dicomsdl.open(str(path))
            cosines = np.asarray(ds.ImageOrientationPatient, float)
            normal = np.cross(cosines[:3], cosines[3:])
            pixels = ds.pixelData(storedvalue=True)
            slices.append((float(normal @ np.asarray(ds.ImagePositionPatient, float)), pixels))
        slices.sort(key=lambda one: one[0])
        volumes.append(np.stack([pixels for _, pixels in slices]).astype(np.float32))
    return volumes


def by_dcm2niix(study: Path) -> list[np.ndarray]:
    """Convert with dcm2niix, uncompressed; the result stays on disk."""
    with tempfile.TemporaryDirectory() as out:
        command = [shutil.which("dcm2niix", path=str(Path(sys.executable).parent)) or "dcm2niix"]
        command += ["-z", "n", "-b", "n", "-o", out, str(study)]
        subprocess.run(command, check=True, capture_output=True)
    return []


def by_raw_bytes(study: Path) -> list[np.ndarray]:
    """Read every byte: the floor."""
    for path in study.rglob("*"):
        if path.is_file():
            path.read_bytes()
    return []


METHODS: dict[str, Callable[[Path], list[object]]] = {
    "raw bytes (floor)": by_raw_bytes,
    "stenograde, headers": headers_by_stenograde,
    "pydicom, headers": headers_by_pydicom,
    "stenograde": by_stenograde,
    "stenograde, finding roles too": by_stenograde_looking,
    "pydicom": by_pydicom,
    "SimpleITK": by_simpleitk,
    "MONAI PydicomReader": by_monai,
    "dicomsdl": by_dicomsdl,
    "dcm2niix -z n": by_dcm2niix,
}


def check(study: Path) -> None:
    """Stop unless every slice is bit-equal to pydicom's."""
    theirs = {
        (str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID)): ds.pixel_array
        for ds in (dcmread(path) for path in study.rglob("*") if path.is_file())
    }
    known_roles(study)
    n = 0
    for series, volume in read_study(study).volumes():
        for uid, pixels in zip(volume.sop_instance_uids, volume.pixels, strict=True):
            if not np.array_equal(pixels, theirs[series.uid, uid]):
                sys.exit(f"pixels of {uid} differ from pydicom's")
            n += 1
    if n != len(theirs):
        sys.exit(f"{len(theirs)} slices there, {n} read")


def seconds(*, wall: bool) -> float:
    """Clock of the benchmark: wall, or CPU of this process and its children."""
    if wall:
        return time.perf_counter()
    spent = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(one.ru_utime + one.ru_stime for one in spent)


def timed(study: Path, rounds: int, *, wall: bool) -> dict[str, float | None]:
    """Median milliseconds of each method; None where it fails."""
    found: dict[str, list[float] | None] = {name: [] for name in METHODS}
    for number in range(rounds + 1):
        for name, method in METHODS.items():
            times = found[name]
            if times is None:
                continue
            start = seconds(wall=wall)
            try:
                with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                    method(study)
            except Exception as exc:  # noqa: BLE001 (a peer that fails is a result)
                print(f"  {name} fails: {type(exc).__name__}: {str(exc)[:90]}", flush=True)
                found[name] = None
                continue
            if number:  # the first round warms up
                times.append((seconds(wall=wall) - start) * 1000)
    return {name: statistics.median(times) if times else None for name, times in found.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--syntax", action="append", choices=[*SYNTAXES, "as it is"])
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(arguments.threads)
    wall = arguments.threads > 1
    print(
        f"{platform.processor() or platform.machine()}, {arguments.threads} thread(s), "
        f"median {'wall' if wall else 'CPU'} ms of {arguments.rounds} rounds"
    )
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES), f"Python {platform.python_version()}")
    columns = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.syntax or ["as it is", *SYNTAXES]:
            is_own = name == "as it is"
            study = arguments.study if is_own else rewrite(arguments.study, Path(scratch) / name, name)
            check(study)
            columns[name] = timed(study, arguments.rounds, wall=wall)
            print("  done:", name, flush=True)
    print("\n| method | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for method in METHODS:
        cells = []
        for times in columns.values():
            ours = times["stenograde, headers" if "headers" in method else "stenograde"]
            value = times[method]
            ratio = (
                f" ({value / ours:.1f}x)" if value and ours and not method.startswith("stenograde") else ""
            )
            cells.append(f"{value:.0f}{ratio}" if value else "fails")
        print(f"| {method} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
