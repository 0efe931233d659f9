"""Sound inputs of every door of the command line, and ways to damage them; for ``reliability.py``.

Every input is made by a random generator that is seeded with its door and number, so that it can be made again.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import os
import random
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SHARES = {
    "slices": 12,
    "slices_rle": 6,
    "slices_jpeg_lossless": 6,
    "slices_jpeg_ls": 6,
    "slices_jpeg_2000": 6,
    "slices_deflated": 6,
    "header_values": 12,
    "zip": 12,
    "tar": 6,
    "dicomdir": 5,
    "file_system": 5,
    "roles": 4,
    "predictions": 6,
    "labels": 4,
    "nifti": 4,
    "picture": 4,
    "bundle": 4,
}
"""Doors, and how many of a hundred and eight inputs come to each."""

HOSTILE = (
    *(
        b"",
        b"0",
        b"-1",
        b"nan",
        b"inf",
        b"1e39",
        b"1e308",
        b"1e-308",
        b"9" * 40,
        b"\xff\xfe",
        b"\x1b[31m",
        b"DOE",
    ),
    *(
        b"1\\2",
        b"0\\0",
        b"1e9\\1e9",
        b"0.001\\0.001",
        b"60\\60",
        b"nan\\0\\0",
        b"1e9\\0\\0",
        b"0\\0\\0\\0\\0\\0",
    ),
    *(b"1\\0\\0\\0\\1\\0", b"0\\1\\0\\0\\0\\-1", b"\\" * 30, b"DERIVED\\SECONDARY", b"1.2.3", b"../../x"),
)
"""Values for elements of a header."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to eight changes; half of them near the beginning, where headers are."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        if not out:
            break
        reach = len(out) if rng.random() < 0.5 else min(len(out), 2500)
        place, length = rng.randrange(reach), rng.choice((1, 1, 2, 4, 16, 64))
        kind = rng.randrange(7)
        if kind == 0:
            del out[place:]
        elif kind == 1:
            del out[place : place + length]
        elif kind == 2:
            out[place:place] = rng.randbytes(length)
        elif kind == 3:
            out[place : place + length] = rng.randbytes(length)
        elif kind == 4:
            out[place] ^= 1 << rng.randrange(8)
        elif kind == 5:
            out[place : place + length] = rng.choice((b"\xff", b"\0", b"\x7f")) * length
        else:
            start = rng.randrange(len(out))
            out[place : place + length] = out[start : start + length]
    return bytes(out)


def make_seeds(work: Path) -> None:
    """Write the sound inputs once: a small phantom in each transfer syntax, and what is not a study."""
    from tests.small_phantoms import SMALL

    from stenograde.phantom import FileOptions, write_cohort
    from stenograde.phantom.files.dicom_files import Codec

    seeds = work / "seeds"
    if (seeds / "done").exists():
        return
    shutil.rmtree(seeds, ignore_errors=True)
    for codec in (
        Codec.EXPLICIT,
        Codec.RLE,
        Codec.JPEG_LOSSLESS,
        Codec.JPEG_LS,
        Codec.JPEG_2000,
        Codec.DEFLATED,
    ):
        cohort = write_cohort(
            seeds / codec.value, patients=1, seed=3, protocol=SMALL, options=FileOptions(codec=codec)
        )
        cohort.studies[0].folder.rename(seeds / f"{codec.value}_study")
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for suffix in ("png", "webp", "jpg"):
        Image.fromarray(rng.integers(0, 255, (160, 120), np.uint8)).save(seeds / f"picture.{suffix}")
    import nibabel

    volume = nibabel.Nifti1Image(
        rng.integers(0, 900, (5, 96, 96)).astype(np.int16), np.diag([4, 1.2, 1.2, 1])
    )
    nibabel.save(volume, seeds / "volume.nii")
    nibabel.save(volume, seeds / "volume.nii.gz")
    (seeds / "done").touch()


def study_files(folder: Path) -> list[Path]:
    """Return the files of a study, in order."""
    return sorted(folder.rglob("*.dcm"))


def damaged_study(
    seed: Path, to: Path, rng: random.Random, change: Callable[[bytes, random.Random], bytes]
) -> Path:
    """Copy a study by links, with one to six files changed."""
    files = study_files(seed)
    chosen = set(rng.sample(range(len(files)), rng.choice((1, 1, 2, 6))))
    for number, path in enumerate(files):
        target = to / path.relative_to(seed)
        target.parent.mkdir(parents=True, exist_ok=True)
        if number in chosen:
            target.write_bytes(change(path.read_bytes(), rng))
        else:
            target.symlink_to(path)
    return to


def with_hostile_values(data: bytes, rng: random.Random) -> bytes:
    """Return a slice with hostile values in one to three elements of its header."""
    import pydicom
    from pydicom.dataelem import RawDataElement

    ds = pydicom.dcmread(io.BytesIO(data))
    tags = [tag for tag in ds.keys() if tag < 0x7FE00000]  # noqa: SIM118  (a data set yields elements)
    for tag in rng.sample(tags, min(len(tags), rng.choice((1, 1, 2, 3)))):
        value = rng.choice(HOSTILE)
        value += b" " * (len(value) % 2)
        ds._dict[tag] = RawDataElement(tag, "LO", len(value), value, 0, False, True)
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


def packed_study(seed: Path, kind: str) -> bytes:
    """Return a study as an archive: zip, or a mode of tarfile."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in study_files(seed):
                archive.write(path, path.relative_to(seed).as_posix())
    else:
        with tarfile.open(fileobj=out, mode=kind) as archive:  # type: ignore[call-overload]
            archive.add(seed, "study")
    return out.getvalue()


def dicomdir(seed: Path, to: Path, rng: random.Random) -> Path:
    """Put a study and a DICOMDIR into a folder, which may list what is not there, and be damaged."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

    ids = []
    for number, path in enumerate(study_files(seed)):
        (to / "IMG").mkdir(parents=True, exist_ok=True)
        (to / "IMG" / f"I{number}").symlink_to(path)
        ids.append(["IMG", f"I{number}"])
    for _ in range(rng.randrange(4)):
        ids.insert(
            rng.randrange(len(ids)),
            rng.choice([["..", "..", "X"], ["IMG"], ["DICOMDIR"], ["", "dev", "zero"]]),
        )
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.DirectoryRecordSequence = [Dataset() for _ in ids]
    for record, one in zip(ds.DirectoryRecordSequence, ids, strict=True):
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", one
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    content = out.getvalue() if rng.random() < 0.3 else damaged(out.getvalue(), rng)
    (to / "DICOMDIR").write_bytes(content)
    return to / "DICOMDIR"


def odd_folder(seed: Path, to: Path, rng: random.Random) -> Path:
    """Put a sound study among what else a file system holds."""
    shutil.copytree(seed, to / "study")
    names = (b"pipe.dcm", b"B\xe4r.dcm", b"\x1b[31m", b"-rf", b"n" * 250, b"a\nb", b"xxx")
    for _ in range(rng.randrange(1, 9)):
        folders = [path for path in to.rglob("*") if path.is_dir() and not path.is_symlink()]
        name = rng.choice(names) + rng.randbytes(2).hex().encode()
        path = Path(os.fsdecode(os.fsencode(rng.choice(folders)) + b"/" + name))
        with contextlib.suppress(OSError):
            _put_something(path, seed, rng)
    return to


def _put_something(path: Path, seed: Path, rng: random.Random) -> None:
    kind = rng.randrange(6)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(rng.choice((".", "..", "../..", "/dev/zero", "/proc/self", "/nowhere", path.name)))
    elif kind == 2:
        with path.open("wb") as file:
            file.truncate(rng.choice((0, 1, 10**6, 10**11)))
    elif kind == 3:
        path.mkdir(0o777 if rng.random() < 0.5 else 0)
    elif kind == 4:
        magic = rng.choice((b"PK\x03\x04", b"7z\xbc\xaf'\x1c", b"\x1f\x8b", bytes(128) + b"DICM"))
        path.write_bytes(magic + rng.randbytes(rng.randrange(2000)))
    else:
        path.symlink_to(rng.choice(study_files(seed)))


def table(door: str, seeds: Path) -> bytes:
    """Return a sound table of the phantom: labels, roles or predictions."""
    labels = (seeds / "explicit" / "train.csv").read_bytes()
    if door == "labels":
        return labels
    if door == "roles":
        return (seeds / "explicit" / "train_series_descriptions.csv").read_bytes()
    head, row = (line.split(",") for line in labels.decode().splitlines()[:2])
    rows = "".join(f"{row[0]}_{name},0.5,0.3,0.2\n" for name in head[1:])
    return f"row_id,normal_mild,moderate,severe\n{rows}".encode()


def damaged_table(data: bytes, rng: random.Random) -> bytes:
    """Return a table with a hostile word in it, some letters changed, or its bytes damaged."""
    words = (
        b"nan",
        b"inf",
        b"1e308",
        b"-1",
        b"=1+1",
        b"\x1b[31m",
        b"\0",
        b'"',
        b"\xff",
        b"x" * 200_000,
        b";",
        b"\n",
    )
    place, kind = rng.randrange(len(data)), rng.randrange(3)
    if kind == 0:
        return data[:place] + rng.choice(words) + data[place:]
    if kind == 1:
        out = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            out[rng.randrange(len(out))] = rng.choice(b'0123456789.,-e abcXYZ"')
        return bytes(out)
    return damaged(data, rng)


def prepared(door: str, number: int, work: Path, place: Path) -> list[str]:
    """Make one input in a folder; gives the words of the command that takes it."""
    rng, seeds = random.Random(f"{door}{number}"), work / "seeds"
    if door in {"roles", "predictions", "labels"}:
        return _table_words(door, seeds, place, rng)
    if door in {"nifti", "picture"}:
        return _picture_words(door, seeds, place, rng)
    if door == "bundle":
        return _bundle_words(seeds, place, rng)
    return _study_words(door, seeds, place, rng)


def _study_words(door: str, seeds: Path, place: Path, rng: random.Random) -> list[str]:
    plain, to, graded = seeds / "explicit_study", place / "in", ["--out", str(place / "out")]
    if door in {"zip", "tar"}:
        to.write_bytes(damaged(packed_study(plain, "zip"), rng) if door == "zip" else _tar(plain, rng))
        return ["grade", str(to), *graded] if rng.random() < 0.3 else ["inspect", str(to)]
    if door in {"dicomdir", "file_system"}:
        return ["inspect", str((dicomdir if door == "dicomdir" else odd_folder)(plain, to, rng))]
    if door == "header_values":
        return ["grade", str(damaged_study(plain, to, rng, with_hostile_values)), *graded]
    seed = seeds / f"{door.removeprefix('slices_') if '_' in door else 'explicit'}_study"
    return ["grade", str(damaged_study(seed, to, rng, damaged)), *graded]


def _tar(seed: Path, rng: random.Random) -> bytes:
    """Return a damaged tar; one that is packed is damaged before it is packed, or after."""
    data = packed_study(seed, "w")
    pack = rng.choice((bytes, gzip.compress, lzma.compress))
    return damaged(pack(data), rng) if rng.random() < 0.3 else pack(damaged(data, rng))


def _bundle_words(seeds: Path, place: Path, rng: random.Random) -> list[str]:
    import stenograde

    folder = place / "bundle"
    shutil.copytree(Path(stenograde.__file__).parent / "bundles" / "lumbar-mri-25", folder)
    path = rng.choice([folder / "bundle.toml", *folder.glob("*.onnx")])
    path.write_bytes(damaged(path.read_bytes(), rng))
    study = str(seeds / "explicit_study")
    return ["grade", study, "--out", str(place / "out"), "--bundle", str(folder)]


def _picture_words(door: str, seeds: Path, place: Path, rng: random.Random) -> list[str]:
    names = (
        ("volume.nii", "volume.nii.gz") if door == "nifti" else ("picture.png", "picture.webp", "picture.jpg")
    )
    seed = seeds / rng.choice(names)
    (place / seed.name).write_bytes(damaged(seed.read_bytes(), rng))
    spacing = (
        ["--spacing-mm", rng.choice(("0.6", "1.5", "10", "nan", "1e9")), "1.5"] if door == "picture" else []
    )
    return ["locate", str(place / seed.name), "--out", str(place / "out"), *spacing]


def _table_words(door: str, seeds: Path, place: Path, rng: random.Random) -> list[str]:
    data, path = damaged_table(table(door, seeds), rng), place / f"{door}.csv"
    if rng.random() < 0.3 and door != "roles":
        path, data = path.with_suffix(".csv.gz"), damaged(gzip.compress(data), rng)
    path.write_bytes(data)
    if door == "roles":
        return ["inspect", str(seeds / "explicit_study"), "--roles", str(path)]
    other = place / "other.csv"
    other.write_bytes(table("labels" if door == "predictions" else "predictions", seeds))
    labels, predictions = (other, path) if door == "predictions" else (path, other)
    return ["score", "--labels", str(labels), "--predictions", str(predictions), "--draws", "5"]
