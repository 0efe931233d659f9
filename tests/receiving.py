"""What tests of the receivers share: a store with its database and intake, and what lies in them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select
from tests.dicom_files import STUDY, mr_dataset, picture, save

from stenograde.pacs.database import Database, migrate
from stenograde.pacs.intake import Intake
from stenograde.pacs.queue import Queue
from stenograde.pacs.store import Store
from stenograde.pacs.tables import instances


@dataclass(frozen=True)
class Receiving:
    """A store, its database, and the intake of both."""

    root: Path
    database: Database
    store: Store
    queue: Queue
    intake: Intake

    @property
    def incoming(self) -> Path:
        return self.root / "incoming"

    def rows(self) -> list[dict[str, object]]:
        """What the database says is kept."""
        return rows_of(self.database)

    def sop_uids(self) -> list[str]:
        return [str(row["sop_uid"]) for row in self.rows()]

    def check_whole(self) -> None:
        """Every row has its file and every file its row, and nothing is left on its way."""
        check_whole(self.root, self.database)


def rows_of(database: Database) -> list[dict[str, object]]:
    """What a database says is kept."""
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(select(instances)).mappings()]


def check_whole(root: Path, database: Database, *, may_leave: bool = False) -> tuple[int, int]:
    """Check that every row has its file, and every file its row, and nothing is on its way; tell how many there are.

    Where the service was killed or lost its database there may be more, that no sender was told to be kept; told as the
    second number.
    """
    kept = {str(row["path"]) for row in rows_of(database)}
    there = {path.relative_to(root).as_posix() for path in (root / "images").rglob("*.dcm")}
    more = len(there - kept) + len(list((root / "incoming").iterdir()))
    assert kept <= there
    assert more == 0 or may_leave
    return len(kept), more


@contextmanager
def receiving(folder: Path, *, free_bytes: int = 0, largest_bytes: int = 1 << 30) -> Iterator[Receiving]:
    """Give an empty store in a folder, with SQLite."""
    root = folder / "store"
    store = Store(root, free_bytes=free_bytes)
    database = Database(f"sqlite:///{root / 'stenograde.sqlite'}")
    migrate(database)
    queue = Queue(database)
    try:
        yield Receiving(root, database, store, queue, Intake(store, queue, largest_bytes=largest_bytes))
    finally:
        database.close()


def mr_file(
    folder: Path, *, number: int = 1, study: str = STUDY, size: int = 16, syntax: str = ExplicitVRLittleEndian
) -> Path:
    """Write an MR instance."""
    ds = mr_dataset(picture(size, size, seed=number), number=number)
    ds.StudyInstanceUID = study
    return save(ds, folder / f"{number}.dcm", syntax)


def pixels_of(root: Path, row: dict[str, object]) -> np.ndarray:
    return dcmread(root / str(row["path"])).pixel_array


def part_10(path: Path) -> bytes:
    return path.read_bytes()


def stripped(path: Path) -> bytes:
    """The data set of a file, without its file meta information."""
    ds = dcmread(path)
    stream = BytesIO(path.read_bytes())
    stream.seek(132 + 12 + int(ds.file_meta.FileMetaInformationGroupLength))
    return stream.read()


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def threads() -> int:
    return threading.active_count()
