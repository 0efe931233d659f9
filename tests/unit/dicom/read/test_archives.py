"""Archives: read within a budget and in one pass, or refused with what they are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.dicom_files import EXPECTED_ROLES, T2, reasons, roles_of, write_series

from stenograde.dicom.read.files import files_in
from stenograde.dicom.read.studies import read_study
from stenograde.errors import NoStudyError
from stenograde.study import Study

Flags = Callable[[bytearray, int], None]


def zipped(folder: Path, path: Path, *extra: tuple[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for one in sorted(folder.rglob("*.dcm")):
            archive.write(one, one.relative_to(folder).as_posix())
        for name, data in extra:
            archive.writestr(name, data)
    return path


def each_directory_entry(path: Path, change: Flags) -> None:
    data = bytearray(path.read_bytes())
    pos = data.find(b"PK\x01\x02")
    while pos >= 0:
        change(data, pos)
        pos = data.find(b"PK\x01\x02", pos + 4)
    path.write_bytes(bytes(data))


def tarred(folder: Path, path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        archive.add(folder, "study")
    return path


def read_both(folder: Path, archive: Path) -> tuple[Study, Study]:
    return read_study(folder), read_study(archive)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tar.bz2", "w:bz2"), ("a.tar.xz", "w:xz"), ("a", "w:gz")],
)
def test_a_tar_is_read_like_its_folder(study_folder: Path, tmp_path: Path, name: str, mode: str) -> None:
    plain, packed = read_both(study_folder, tarred(study_folder, tmp_path / name, mode))

    assert roles_of(packed) == EXPECTED_ROLES
    for ours, theirs in zip(plain.series, packed.series, strict=True):
        assert (ours.volumes[0].pixels == theirs.volumes[0].pixels).all()


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_is_read_however_it_is_packed(study_folder: Path, tmp_path: Path, packing: int) -> None:
    study = read_study(zipped(study_folder, tmp_path / "a.zip", packing=packing))

    assert roles_of(study) == EXPECTED_ROLES
    assert study.series[0].volumes[0].pixels.shape == (5, 20, 16)


def test_a_link_in_a_tar_is_listed_and_not_followed(study_folder: Path, tmp_path: Path) -> None:
    (study_folder / "link.dcm").symlink_to("/etc/passwd")
    study = read_study(tarred(study_folder, tmp_path / "a.tar.gz", "w:gz"))
    assert roles_of(study) == EXPECTED_ROLES
    assert [unused.why[:29] for unused in study.unused] == ["no regular file in its archiv"]


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_what_is_packed_and_no_tar_is_refused(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a").write_bytes(packed(b"no tar" * 1000))
    with pytest.raises(NoStudyError, match="study must be a whole tar archive packed by"):
        read_study(tmp_path / "a")


@pytest.mark.parametrize(
    ("magic", "kind"),
    [(b"7z\xbc\xaf'\x1c\0\x04", "7z"), (b"Rar!\x1a\x07\x01\0", "rar"), (b"\x28\xb5\x2f\xfd", "zstd")],
)
def test_an_archive_that_is_not_read_is_named(
    study_folder: Path, tmp_path: Path, magic: bytes, kind: str
) -> None:
    (tmp_path / "a").write_bytes(magic + bytes(1000))
    with pytest.raises(NoStudyError, match=f"which is a {kind} archive; unpack it first"):
        read_study(tmp_path / "a")
    (study_folder / "a").write_bytes(magic + bytes(1000))
    assert reasons(read_study(study_folder))["a"].startswith(f"{kind} archive, which is not unpacked here")


def test_a_zip_in_a_zip_is_listed(study_folder: Path, tmp_path: Path) -> None:
    inner = zipped(study_folder, tmp_path / "inner.zip").read_bytes()
    study = read_study(zipped(study_folder, tmp_path / "a.zip", ("inner.zip", inner)))
    assert roles_of(study) == EXPECTED_ROLES
    assert reasons(study) == {
        "inner.zip": "zip archive, which is not unpacked here; unpack it, or grade it by itself"
    }


def test_members_of_one_name_stay_apart(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "s", series=2, **T2)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # (that the name is there already)
        for path in paths:
            archive.writestr("IM", path.read_bytes())
    assert read_study(tmp_path / "a.zip").series[0].n_slices == 5


def test_an_encrypted_zip_says_so(study_folder: Path, tmp_path: Path) -> None:
    def encrypt(data: bytearray, pos: int) -> None:
        data[pos + 8] |= 1

    archive = zipped(study_folder, tmp_path / "a.zip")
    each_directory_entry(archive, encrypt)
    with pytest.raises(NoStudyError, match="15 x encrypted member of a zip"):
        read_study(archive)


def test_an_unknown_way_of_packing_says_so(study_folder: Path, tmp_path: Path) -> None:
    def repack(data: bytearray, pos: int) -> None:
        struct.pack_into("<H", data, pos + 10, 99)

    archive = zipped(study_folder, tmp_path / "a.zip")
    each_directory_entry(archive, repack)
    with pytest.raises(NoStudyError, match="15 x member of a zip packed by method 99"):
        read_study(archive)


def test_names_that_are_not_utf_8_do_no_harm(study_folder: Path, tmp_path: Path) -> None:
    def claim(data: bytearray, pos: int) -> None:
        data[pos + 9] |= 8

    archive = zipped(study_folder, tmp_path / "a.zip", ("XXXX.txt", b"x"))
    archive.write_bytes(archive.read_bytes().replace(b"XXXX.txt", b"\xff\xfe\xe4\x81.txt"))
    assert roles_of(read_study(archive)) == EXPECTED_ROLES
    each_directory_entry(archive, claim)
    assert roles_of(read_study(archive)) == EXPECTED_ROLES


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97, 0.999])
def test_a_zip_that_was_cut_is_refused(study_folder: Path, tmp_path: Path, share: float) -> None:
    archive = zipped(study_folder, tmp_path / "a.zip")
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(NoStudyError, match=r"zip must be whole, got .*; copy it again"):
        read_study(archive)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_a_tar_that_was_cut_is_refused(study_folder: Path, tmp_path: Path, mode: str, share: float) -> None:
    archive = tarred(study_folder, tmp_path / "a", mode)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(NoStudyError, match="study must be a whole tar archive"):
        read_study(archive)


def bomb(path: Path, *, n: int, megabytes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(n):
            with archive.open(f"{number}.dcm", "w") as member:
                for _ in range(megabytes):
                    member.write(bytes(1 << 20))
    return path


def test_a_zip_that_unpacks_to_far_more_than_its_size_is_refused_unread(tmp_path: Path) -> None:
    archive = bomb(tmp_path / "a.zip", n=2, megabytes=60)
    with pytest.raises(NoStudyError, match=r"at most 200 times its size, got more from \d+ KiB"):
        read_study(archive)
    # below what is free, it is read and is no DICOM
    with pytest.raises(NoStudyError, match="1 x not a DICOM file"):
        read_study(bomb(tmp_path / "small.zip", n=1, megabytes=60))


def test_a_tar_that_unpacks_to_far_more_than_its_size_is_refused_on_the_way(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.dcm")
    info.size = 1 << 40
    for name, data in (
        ("zeros", io.BytesIO(info.tobuf() + bytes(100 << 20))),
        ("long name", io.BytesIO(_long_name(100 << 20))),
    ):
        (tmp_path / name).write_bytes(gzip.compress(data.read(), 1))
        with pytest.raises(NoStudyError, match="an archive must unpack to at most"):
            read_study(tmp_path / name)


def _long_name(length: int) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, length
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(length)


def test_an_archive_beyond_the_limit_names_the_option_that_raises_it(
    study_folder: Path, tmp_path: Path
) -> None:
    for archive in (
        zipped(study_folder, tmp_path / "a.zip"),
        tarred(study_folder, tmp_path / "a.tgz", "w:gz"),
    ):
        with pytest.raises(NoStudyError, match=r"at most 9\.77 KiB, got more; .*--memory-limit"):
            files_in(archive, limit_bytes=10_000)


def test_lengths_that_are_not_true_are_not_believed(study_folder: Path, tmp_path: Path) -> None:
    """A member that says it is small and unpacks to much, and one that says it is packed far larger than the zip."""

    def shorten(data: bytearray, pos: int) -> None:
        struct.pack_into("<I", data, pos + 24, 10)

    def lengthen(data: bytearray, pos: int) -> None:
        struct.pack_into("<I", data, pos + 20, 0xFFFFFFF0)

    archive = zipped(study_folder, tmp_path / "a.zip")
    each_directory_entry(archive, lengthen)
    assert roles_of(read_study(archive)) == EXPECTED_ROLES
    each_directory_entry(archive, shorten)
    with pytest.raises(NoStudyError, match="15 x damaged member of a zip"):
        read_study(archive)


def test_names_of_members_lead_nowhere(study_folder: Path, tmp_path: Path) -> None:
    extra = [("../../x.dcm", b"x"), (str(tmp_path / "y.dcm"), b"x"), ("..\\..\\z.dcm", b"x")]
    study = read_study(zipped(study_folder, tmp_path / "a.zip", *extra))
    assert roles_of(study) == EXPECTED_ROLES
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "study"}


def test_the_time_that_a_zip_takes_grows_with_its_members_and_not_faster(tmp_path: Path) -> None:
    def seconds(n: int) -> float:
        with zipfile.ZipFile(tmp_path / f"{n}.zip", "w") as archive:
            for number in range(n):
                archive.writestr(f"f{number:06d}.txt", b"x")
        start = time.process_time()
        with pytest.raises(NoStudyError, match=f"{n} x not a DICOM file"):
            read_study(tmp_path / f"{n}.zip")
        return time.process_time() - start

    seconds(10)
    # twenty times as many would take four hundred times as long if each member read the directory
    assert seconds(4000) < 100 * max(seconds(200), 0.01)
