"""Tables: read whole, or refused with what is wrong."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from stenograde.datasets.tables import read_rows
from stenograde.errors import DatasetError
from stenograde.files import inert_cell


def test_table_when_compressed_or_marked_then_it_reads_the_same(tmp_path: Path) -> None:
    text = 'a,b\n1,"two, or\nmore"\n3,\n4\n'
    (tmp_path / "t.csv").write_text(text)
    (tmp_path / "m.csv").write_text("\ufeff" + text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    rows = [read_rows(tmp_path / name, ("a", "b")) for name in ("t.csv", "m.csv", "t.csv.gz")]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0] == [{"a": "1", "b": "two, or\nmore"}, {"a": "3", "b": ""}, {"a": "4", "b": ""}]


def test_table_when_a_column_is_missing_then_those_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n")
    with pytest.raises(DatasetError, match=r"t\.csv must have the columns a, c, got a, b"):
        read_rows(tmp_path / "t.csv", ("a", "c"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", None),
        ("t.csv", b"\xff\xfe\x00"),
        ("t.csv.gz", b"a,b\n"),
        ("t.csv.gz", gzip.compress(b"a\n1", mtime=0)[:-4]),
    ],
)
def test_table_when_it_cannot_be_read_then_it_is_named(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=r"table must be a readable CSV file, got .*t\.csv"):
        read_rows(tmp_path / name, ("a",))


def test_table_when_it_unpacks_to_far_more_than_its_size_then_it_is_refused_on_the_way(
    tmp_path: Path,
) -> None:
    with gzip.open(tmp_path / "t.csv.gz", "wb", 1) as file:
        for _ in range(100):
            file.write(bytes(1 << 20))
    with pytest.raises(DatasetError, match=r"t\.csv\.gz \(it unpacks to more than [\d.]+ MiB\)"):
        read_rows(tmp_path / "t.csv.gz", ("a",))


def test_table_when_it_is_no_file_then_it_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path, kind in ((tmp_path / "pipe.csv", "a named pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(DatasetError, match=f"it is {kind}"):
            read_rows(path, ("a",))


def test_table_when_a_cell_was_made_inert_then_its_text_comes_back(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        f"a,b\n{inert_cell('=1+2')},{inert_cell('-4')}\n'it,'\n", encoding="utf-8"
    )
    assert read_rows(tmp_path / "t.csv", ("a", "b")) == [{"a": "=1+2", "b": "-4"}, {"a": "'it", "b": "'"}]
