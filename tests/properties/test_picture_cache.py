"""The cache under damage: whatever happens to its file, what comes back is what the sources give."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.picture_sets import noise

from stenograde.datasets.cache import cached_pictures
from stenograde.datasets.picture_files import ArrayPicture
from stenograde.datasets.samples import Sample, SampleSet
from stenograde.images.pictures import PictureConfig, prepare_picture
from stenograde.workers import Step

CONFIG = PictureConfig((4, 5))


def sample_set(seeds: list[int]) -> SampleSet:
    pictures = [ArrayPicture(noise(seed).astype(np.float32), "array") for seed in seeds]
    return SampleSet("any", ("a",), tuple(Sample(f"s{k}", one, None, "a") for k, one in enumerate(pictures)))


def expected(samples: SampleSet) -> np.ndarray:
    return np.stack([prepare_picture(one.picture.read(), CONFIG) for one in samples.samples])


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, float, int]:
    """What is done to the file, at which share of its length, with which bits."""
    return (
        draw(st.sampled_from(["truncate", "flip", "grow", "zero"])),
        draw(st.floats(0, 1)),
        draw(st.integers(1, 255)),
    )


@settings(max_examples=60)
@given(seeds=st.lists(st.integers(0, 50), min_size=1, max_size=6), damage=damages())
def test_damaged_files_are_never_believed(seeds: list[int], damage: tuple[str, float, int]) -> None:
    kind, share, bits = damage
    samples = sample_set(seeds)
    with tempfile.TemporaryDirectory() as name:
        cached_pictures(samples, CONFIG, Path(name))
        (file,) = Path(name).iterdir()
        content = bytearray(file.read_bytes())
        place = min(int(share * len(content)), len(content) - 1)
        if kind == "flip":
            content[place] ^= bits
        elif kind == "truncate":
            del content[place:]
        elif kind == "grow":
            content += bytes(bits)
        else:
            content[place:] = bytes(len(content) - place)
        file.write_bytes(content)
        np.testing.assert_array_equal(cached_pictures(samples, CONFIG, Path(name)), expected(samples))
        # and it is whole again: nothing more is made
        made: list[Step] = []
        cached_pictures(samples, CONFIG, Path(name), progress=made.append)
        assert made == []


@settings(max_examples=40)
@given(before=st.lists(st.integers(0, 5), min_size=1, max_size=6), data=st.data())
def test_changed_sources_are_made_again_and_no_others(before: list[int], data: st.DataObject) -> None:
    after = data.draw(st.lists(st.integers(0, 5), min_size=len(before), max_size=len(before)))
    made: list[Step] = []
    with tempfile.TemporaryDirectory() as name:
        cached_pictures(sample_set(before), CONFIG, Path(name))
        pictures = cached_pictures(sample_set(after), CONFIG, Path(name), progress=made.append)
        np.testing.assert_array_equal(pictures, expected(sample_set(after)))
    assert len(made) == sum(one != other for one, other in zip(before, after, strict=True))
