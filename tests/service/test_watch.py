"""The watched folder: what rests is taken in and moved aside, and nothing is lost, whatever lies there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.dicom_files import STUDY, write_study
from tests.receiving import Receiving, mr_file

from stenograde.errors import ConfigError
from stenograde.pacs.watch import Watch, watched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "watched"


@pytest.fixture
def watch(folder: Path, kept: Receiving) -> Watch:
    return Watch(folder, kept.intake)


def lying(folder: Path) -> list[str]:
    """Files under a folder, by name."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def test_study_is_taken_in_when_it_has_come_to_rest(folder: Path, watch: Watch, kept: Receiving) -> None:
    write_study(folder / "doe")
    names = lying(folder / "doe")
    assert watch.look() == 0
    assert watch.look() == len(names) > 0
    assert lying(folder) == [f"taken/doe/{name}" for name in names]
    assert not (folder / "doe").exists()
    assert len(kept.rows()) == len(names)
    assert watch.look() == watch.look() == 0
    assert kept.queue.complete(STUDY) == 1


def test_file_that_still_grows_is_left_until_it_rests(
    folder: Path, watch: Watch, kept: Receiving, tmp_path: Path
) -> None:
    data = mr_file(tmp_path).read_bytes()
    for n_bytes in (10, 400, len(data)):
        (folder / "one.dcm").write_bytes(data[:n_bytes])
        assert watch.look() == 0
    assert watch.look() == 1
    assert kept.sop_uids() == [f"{STUDY}.1.1"]


def test_name_that_begins_with_a_point_is_left_alone(folder: Path, watch: Watch, tmp_path: Path) -> None:
    shutil.copy(mr_file(tmp_path), folder / ".one.dcm")
    assert watch.look() == watch.look() == 0
    (folder / ".one.dcm").rename(folder / "one.dcm")
    assert (watch.look(), watch.look()) == (0, 1)


def test_what_is_no_dicom_is_moved_aside_with_its_reason(
    folder: Path, watch: Watch, kept: Receiving, tmp_path: Path
) -> None:
    write_study(folder / "study")
    (folder / "study" / "notes.txt").write_text("Doe")
    (folder / "alone.pdf").write_bytes(b"%PDF")
    watch.look()
    watch.look()
    assert lying(folder / "refused") == [
        "alone.pdf",
        "alone.pdf.txt",
        "study/notes.txt",
        "study/notes.txt.txt",
    ]
    assert (folder / "refused/study/notes.txt").read_text() == "Doe"
    assert (folder / "refused/study/notes.txt.txt").read_text().startswith("not understood: ")
    assert len(kept.rows()) == len(lying(folder / "taken"))


def test_same_name_again_takes_the_place_of_nothing(
    folder: Path, watch: Watch, kept: Receiving, tmp_path: Path
) -> None:
    for number in (1, 2):
        shutil.copy(mr_file(tmp_path, number=number), folder / "one.dcm")
        assert watch.look() + watch.look() == 1
    assert lying(folder) == ["taken/one-2.dcm", "taken/one.dcm"]
    assert len(kept.rows()) == 2


def test_links_pipes_and_what_cannot_be_read_are_refused_without_following_them(
    folder: Path, watch: Watch, kept: Receiving, tmp_path: Path
) -> None:
    elsewhere = mr_file(tmp_path / "elsewhere")
    (folder / "study").mkdir()
    (folder / "link.dcm").symlink_to(elsewhere)
    (folder / "study" / "folder").symlink_to(elsewhere.parent)
    (folder / "top").symlink_to(elsewhere.parent)
    os.mkfifo(folder / "pipe")
    assert watch.look() + watch.look() == 0
    names = ("link.dcm", "pipe", "study/folder", "top")
    assert lying(folder) == sorted(f"refused/{name}{end}" for name in names for end in ("", ".txt"))
    assert elsewhere.is_file()
    assert kept.rows() == []


def test_what_cannot_be_kept_now_stays_and_is_tried_again(
    folder: Path, watch: Watch, kept: Receiving, tmp_path: Path
) -> None:
    shutil.copy(mr_file(tmp_path), folder / "one.dcm")
    with kept.database.writing() as connection:
        connection.execute(text("ALTER TABLE jobs RENAME TO away"))
    assert watch.look() + watch.look() + watch.look() == 0
    assert lying(folder) == ["one.dcm"]
    with kept.database.writing() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO jobs"))
    assert watch.look() == 1


def test_file_that_was_taken_and_not_moved_is_taken_again_without_harm(
    folder: Path, watch: Watch, kept: Receiving, tmp_path: Path
) -> None:
    """As after a kill between taking a file in and moving it."""
    path = mr_file(tmp_path)
    kept.intake.accept(path.read_bytes(), via="watch", sender="watch")
    shutil.copy(path, folder / "one.dcm")
    assert watch.look() + watch.look() == 1
    assert len(kept.rows()) == 1


def test_thread_takes_in_what_is_put_there_and_ends(folder: Path, kept: Receiving, tmp_path: Path) -> None:
    with watched(folder, kept.intake, tick_s=0.01):
        shutil.copy(mr_file(tmp_path), folder / "one.dcm")
        while not (folder / "taken" / "one.dcm").exists():
            pass
    assert kept.sop_uids() == [f"{STUDY}.1.1"]


def test_folder_that_cannot_be_made_is_refused(kept: Receiving, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="written to"):
        Watch(tmp_path / "file" / "folder", kept.intake)
