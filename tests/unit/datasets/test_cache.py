"""The cache: pictures are made once, and what is damaged, changed or half written is made again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.picture_sets import on_disk, save

from stenograde.datasets import cache
from stenograde.datasets.cache import cached_pictures
from stenograde.datasets.class_folders import read_class_folders
from stenograde.datasets.samples import SampleSet
from stenograde.errors import DatasetError
from stenograde.images.pictures import PictureConfig, prepare_picture
from stenograde.workers import Step

CONFIG = PictureConfig((8, 6))


def expected(samples: SampleSet, config: PictureConfig = CONFIG) -> np.ndarray:
    return np.stack([prepare_picture(one.picture.read(), config) for one in samples.samples])


def made(samples: SampleSet, folder: Path, config: PictureConfig = CONFIG) -> tuple[np.ndarray, int]:
    """The pictures, and how many had to be made."""
    steps: list[Step] = []
    pictures = cached_pictures(samples, config, folder, progress=steps.append)
    np.testing.assert_array_equal(pictures, expected(samples, config))
    return pictures, len(steps)


@pytest.fixture
def samples(tmp_path: Path) -> SampleSet:
    return on_disk(tmp_path / "pictures", 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_pictures_when_cached_then_they_are_mapped_read_only_and_made_once(
    samples: SampleSet, folder: Path
) -> None:
    pictures, n = made(samples, folder)
    assert n == 5
    assert isinstance(pictures, np.memmap)
    assert not pictures.flags.writeable
    assert made(samples, folder)[1] == 0
    assert len(list(folder.iterdir())) == 1


def test_settings_when_they_change_then_pictures_are_made_and_the_old_ones_stay(
    samples: SampleSet, folder: Path
) -> None:
    made(samples, folder)
    assert made(samples, folder, PictureConfig((8, 6), intensity="equalise"))[1] == 5
    assert made(samples, folder)[1] == 0


def test_source_when_one_changes_then_only_that_picture_is_made_again(
    samples: SampleSet, folder: Path
) -> None:
    before, _ = made(samples, folder)
    kept = before.copy()
    save(Path(samples.samples[2].picture.path), 99)  # type: ignore[attr-defined]
    after, n = made(samples, folder)
    assert n == 1
    assert not np.array_equal(after[2], kept[2])
    np.testing.assert_array_equal(before, kept)  # whoever still has the old map sees what it saw


def test_order_when_it_changes_then_rows_follow_the_samples(samples: SampleSet, folder: Path) -> None:
    whole, _ = made(samples, folder)
    chosen, _ = made(samples.chosen([4, 0]), folder)
    np.testing.assert_array_equal(chosen, whole[[4, 0]])
    assert not np.array_equal(chosen[0], chosen[1])


def test_format_when_it_is_raised_then_pictures_are_made_again(
    samples: SampleSet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(samples, folder)
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    assert made(samples, folder)[1] == 5


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_file_when_truncated_then_it_is_made_again(samples: SampleSet, folder: Path, size: int) -> None:
    made(samples, folder)
    (file,) = folder.iterdir()
    os.truncate(file, size if size >= 0 else file.stat().st_size - 1)
    assert made(samples, folder)[1] == 5


def test_pixel_when_a_bit_flips_then_only_that_picture_is_made_again(
    samples: SampleSet, folder: Path
) -> None:
    made(samples, folder)
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())
    data[-1 - 8 * 6] ^= 4  # last pixel of the last but one
    file.write_bytes(data)
    assert made(samples, folder)[1] == 1


def test_file_when_half_written_by_a_killed_process_then_it_is_removed_after_a_day(
    samples: SampleSet, folder: Path
) -> None:
    folder.mkdir()
    for name, age_s in (("old", 90_000), ("new", 60)):
        (folder / f".writing-{name}").write_bytes(b"half")
        seconds = (folder / f".writing-{name}").stat().st_mtime - age_s
        os.utime(folder / f".writing-{name}", (seconds, seconds))
    made(samples, folder)
    assert sorted(path.name for path in folder.glob(".writing-*")) == [".writing-new"]


def test_picture_when_it_cannot_be_read_then_it_is_named_and_nothing_is_left(
    samples: SampleSet, folder: Path
) -> None:
    Path(samples.samples[3].picture.path).write_bytes(b"no picture")  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match="p3 must be a picture that can be prepared, got one that cannot"):
        cached_pictures(samples, CONFIG, folder)
    assert list(folder.iterdir()) == []


def test_set_when_empty_then_it_is_refused(folder: Path) -> None:
    with pytest.raises(DatasetError, match="must hold at least one picture, got none in none"):
        cached_pictures(SampleSet("none", ("a",), ()), CONFIG, folder)


def test_folder_when_it_is_a_file_then_it_is_refused(samples: SampleSet, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(DatasetError, match="cache must be a folder that can be written"):
        cached_pictures(samples, CONFIG, tmp_path / "cache")


_PROCESS = """
import sys
import time
from pathlib import Path
from stenograde.datasets.cache import cached_pictures
from stenograde.datasets.class_folders import read_class_folders
from stenograde.images.pictures import PictureConfig

samples = read_class_folders(Path(sys.argv[1]), patient_pattern=None)
Path(sys.argv[2], sys.argv[3]).touch()
while len(list(Path(sys.argv[2]).glob("ready-*"))) < 2:
    time.sleep(0.001)
print(int(cached_pictures(samples, PictureConfig((8, 6)), Path(sys.argv[2]) / "cache").sum(dtype=int)))
"""


def test_processes_when_two_make_the_same_file_at_once_then_both_have_whole_pictures(tmp_path: Path) -> None:
    for place in range(30):
        save(tmp_path / "in" / "ab"[place % 2] / f"{place}.png", place)
    command = [sys.executable, "-c", _PROCESS, str(tmp_path / "in"), str(tmp_path)]
    running = [
        subprocess.Popen([*command, f"ready-{one}"], stdout=subprocess.PIPE, text=True) for one in "ab"
    ]
    try:
        printed = [process.communicate(timeout=1000)[0] for process in running]
    finally:
        for process in running:
            process.kill()  # one waits for the other, and would wait for ever
            process.wait()
    assert [process.returncode for process in running] == [0, 0]
    samples = read_class_folders(tmp_path / "in", patient_pattern=None)
    assert printed == [f"{expected(samples).sum(dtype=int)}\n"] * 2
    assert len(list((tmp_path / "cache").iterdir())) == 1
