"""What was fetched is deleted: by who fetched it, and where that was killed by who comes after."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from stenograde.batch import sources
from stenograde.batch.sources import NotFetchedError, fetched, sweep
from stenograde.errors import ConfigError


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_folder_and_a_file_here_are_given_as_they_are(tmp_path):
    with fetched("/data/study") as place:
        assert place == Path("/data/study")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_had_fetched_is_swept_and_what_a_living_one_has_is_not(tmp_path):
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    for pid in (killed.pid, os.getpid()):
        (tmp_path / f"{sources._prefix(pid)}x").mkdir()
        (tmp_path / f"{sources._prefix(pid)}x" / "000000.dcm").write_bytes(b"x")
    (tmp_path / "stenograde-elsewhere-1-x").mkdir()

    sweep()

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{sources._prefix(os.getpid())}x", "stenograde-elsewhere-1-x"}


def test_a_disk_that_is_full_is_no_fault_of_a_study(monkeypatch):
    def full(source, folder):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(sources, "_from_storage", full)
    with pytest.raises(ConfigError, match="must have room for studies that are fetched"), fetched("s3://a/b"):
        pass


def test_a_source_that_is_away_is_told_without_its_name(monkeypatch):
    def away(source, folder):
        raise ConnectionError(source)

    monkeypatch.setattr(sources, "_from_storage", away)
    with pytest.raises(NotFetchedError) as caught, fetched("s3://a/secret"):
        pass
    assert "got ConnectionError" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(source, folder):
        msg = "Please install gcsfs to access Google Storage"
        raise ImportError(msg)

    monkeypatch.setattr(sources, "_from_storage", missing)
    with (
        pytest.raises(ImportError, match="reading from gs needs a package: Please install gcsfs"),
        fetched("gs://a/b"),
    ):
        pass
