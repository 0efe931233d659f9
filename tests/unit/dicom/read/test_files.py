"""What lies in a folder: every entry is a file, or is listed with the reason why it is none; nothing is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.dicom_files import EXPECTED_ROLES, roles_of

from stenograde.dicom.read.files import StudyFile, files_in
from stenograde.dicom.read.studies import read_study
from stenograde.errors import NoStudyError, UnreadableInstanceError


def refused(folder: Path) -> dict[str, str]:
    return {file.relative: file.refusal for file in files_in(folder) if file.refusal}


def test_files_are_called_by_their_number_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("t2 copy/a", "t2/b", "t2/a", "DOE_JOHN"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    found = [(file.name, file.relative) for file in files_in(tmp_path)]

    assert found == [
        ("file 1 of 4", "DOE_JOHN"),
        ("file 2 of 4", "t2/a"),
        ("file 3 of 4", "t2/b"),
        ("file 4 of 4", "t2 copy/a"),
    ]


def test_what_is_no_file_is_listed_and_the_study_is_read(
    study_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(study_folder / "pipe.dcm")
    (study_folder / "zero.dcm").symlink_to("/dev/zero")
    (study_folder / "broken.dcm").symlink_to("/nowhere")
    (study_folder / "itself").symlink_to("itself")
    (study_folder / "circle").symlink_to(".")
    (study_folder / "process").symlink_to("/proc/self")
    (study_folder / "status.dcm").symlink_to("/proc/self/status")
    monkeypatch.chdir(study_folder)  # (the name of a socket must be short)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s.dcm")
        assert refused(study_folder) == {
            "pipe.dcm": "a named pipe, which is not read",
            "s.dcm": "a socket, which is not read",
            "zero.dcm": "a device, which is not read",
            "broken.dcm": "a link that leads nowhere, which is not read",
            "itself": "a link that leads nowhere, which is not read",
            "circle": "link to a folder that is read already",
            "process": "a link to a part of the system, which is not read",
            "status.dcm": "a link to a part of the system, which is not read",
        }
        study = read_study(study_folder)
    assert roles_of(study) == EXPECTED_ROLES
    assert len(study.unused) == 8


def test_each_folder_is_read_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    """Two links in each of thirty folders would otherwise lead to a thousand million paths."""
    folder = tmp_path / "study"
    for _ in range(30):
        folder.mkdir()
        (folder / "one").symlink_to("next")
        (folder / "other").symlink_to("next")
        (folder / "file").write_bytes(b"x")
        folder = folder / "next"
    folder.mkdir()
    assert sum(not file.refusal for file in files_in(tmp_path)) == 30


def test_folders_nest_as_deep_as_they_like(tmp_path: Path) -> None:
    start = Path.cwd()
    os.chdir(tmp_path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    Path("slice").write_bytes(b"x")
    os.chdir(start)
    try:
        assert [file.relative.count("/") for file in files_in(tmp_path)] == [1200]
    finally:
        os.chdir(tmp_path)
        for _ in range(1200):
            os.chdir("d")
        Path("slice").unlink()
        for _ in range(1200):
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(start)


def test_a_folder_whose_path_is_too_long_is_listed(tmp_path: Path) -> None:
    start, name = Path.cwd(), "n" * 200
    os.chdir(tmp_path)
    for _ in range(25):
        Path(name).mkdir()
        os.chdir(name)
    os.chdir(start)
    (found,) = refused(tmp_path).values()
    assert found == "folder that cannot be opened (File name too long)"


def test_names_that_are_no_text_do_no_harm(study_folder: Path) -> None:
    with open(os.fsencode(study_folder) + b"/B\xe4r.txt", "wb") as file:  # noqa: PTH123 (bytes are no Path)
        file.write(b"x")
    study = read_study(study_folder)
    assert [unused.what for unused in study.unused] == ["file 1 of 16"]
    for series in study.series:
        series.uid.encode()


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/dev/zero", "which is a device"),
        ("/dev/null", "which is a device"),
        ("/proc/self/mem", "which is a part of the system"),
        ("/proc", "which is a part of the system"),
        ("/tmp/" + "n" * 5000, "which cannot be opened"),
        ("/tmp/zero\0byte", "which cannot be opened"),
    ],
)
def test_a_place_that_is_no_study_is_refused_at_once(place: str, why: str) -> None:
    with pytest.raises(NoStudyError, match=f"study must be a folder, .*{why}"):
        files_in(place)
    with pytest.raises(NoStudyError):
        files_in([place])


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "DICOMDIR")
    with pytest.raises(NoStudyError, match="which is a named pipe"):
        read_study(tmp_path / "DICOMDIR")
    alone = StudyFile(str(tmp_path / "DICOMDIR"), "it")
    assert alone.head(100) == (b"", 0)


def test_a_file_without_end_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"x" * 1000)
    (file,) = files_in(tmp_path, limit_bytes=999)
    with pytest.raises(UnreadableInstanceError, match="holds 1000 bytes, where at most 999 bytes are read"):
        file.whole()
