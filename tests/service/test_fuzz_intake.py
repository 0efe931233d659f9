"""Whatever bytes come, the intake keeps them or says why not; it never fails and never writes elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dicom_files import mr_dataset, picture, save

from stenograde.pacs.database import Database
from stenograde.pacs.intake import Accepted, Intake, Refused
from stenograde.pacs.queue import Queue
from stenograde.pacs.store import Store
from stenograde.pacs.tables import metadata


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@pytest.fixture(scope="module")
def intake(folder: Path) -> Iterator[Intake]:
    database = Database(f"sqlite:///{folder / 'test.sqlite'}")
    with database.writing() as connection:
        metadata.create_all(connection)
    yield Intake(Store(folder / "store"), Queue(database), largest_bytes=1 << 16)
    database.close()


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    return save(mr_dataset(picture()), folder / "sound.dcm").read_bytes()


EDITS = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "put"]), st.integers(0, 10**6), st.binary(max_size=9)),
    max_size=4,
)


@given(edits=EDITS)
@settings(max_examples=400)
def test_an_object_when_its_bytes_are_changed_anyhow_then_it_is_kept_or_refused(
    intake: Intake, folder: Path, sound: bytes, edits: list[tuple[str, int, bytes]]
) -> None:
    data = bytearray(sound)
    for how, where, piece in edits:
        place = where % (len(data) + 1)
        if how == "set":
            data[place : place + len(piece)] = piece
        elif how == "put":
            data[place:place] = piece
        else:
            del data[place : place + 1 + where % 200]
    got = intake.accept(bytes(data), via="http", sender="fuzz")
    assert isinstance(got, Accepted | Refused)
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("test.sqlite")) == [
        "sound.dcm",
        "store",
    ]
    assert sorted(path.name for path in (folder / "store").iterdir() if path.name != "images") == ["incoming"]
    assert list((folder / "store" / "incoming").iterdir()) == []
