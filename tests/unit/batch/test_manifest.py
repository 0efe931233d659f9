"""Manifests: rows in order, paths seen from the manifest, and what is wrong said with its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from stenograde.batch.manifest import Entry, read_manifest
from stenograde.errors import ConfigError


def manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_become_entries_in_order(tmp_path):
    path = manifest(
        tmp_path,
        "\ufeffname,source,study_uid\nfirst,a,1.2.3\n,/data/b.zip,\n,s3://bucket/c,\n"
        "web,dicomweb+https://pacs/dicom-web/studies/1.2,\n",
    )
    assert list(read_manifest(path)) == [
        Entry(0, str(tmp_path / "a"), "first", "1.2.3"),
        Entry(1, "/data/b.zip", "/data/b.zip"),
        Entry(2, "s3://bucket/c", "s3://bucket/c"),
        Entry(3, "dicomweb+https://pacs/dicom-web/studies/1.2", "web"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path\na\n", "must have the column 'source'"),
        ("source,patient\na,b\n", "may have 'name' and 'study_uid', got .*'patient'"),
        ("source,name\na,x\n,y\n", "row 3 of a manifest must name one source, got none"),
        ("source\na,b\n", "row 2 of a manifest must name one source, got more"),
        ("", "must have the column 'source'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, told):
    with pytest.raises(ConfigError, match=told):
        list(read_manifest(manifest(tmp_path, text)))


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(b"source\n\xff\xfe\n")
    with pytest.raises(ConfigError, match="--cohort must be a CSV in UTF-8"):
        list(read_manifest(path))
    with pytest.raises(ConfigError, match=r"got none\.csv"):
        list(read_manifest(tmp_path / "none.csv"))
