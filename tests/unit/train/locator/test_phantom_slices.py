"""Slices of phantoms for the locator: what their masks say, and that they are made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.errors import ConfigError  # noqa: E402
from stenograde.phantom import ContrastMode, ProtocolMix  # noqa: E402
from stenograde.terms import Structure  # noqa: E402
from stenograde.train.locator import phantom_slices  # noqa: E402
from stenograde.train.locator.phantom_slices import (  # noqa: E402
    PhantomSlicesConfig,
    make_phantom_slices,
    patient_slices,
)
from stenograde.workers import Step  # noqa: E402

CONFIG = PhantomSlicesConfig(
    patients=2,
    slices=3,
    contrasts=(ContrastMode.CLINICAL,),
    mix=ProtocolMix(stir_share=0.0, artefact_share=0.0),
    layers=1,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("virtual")
    make_phantom_slices(made, CONFIG)
    return made


def test_fluid_is_dark_in_the_first_slices_and_bright_in_the_second() -> None:
    pictures, masks, pixel_mm = patient_slices(0, CONFIG)
    assert pictures.shape == masks.shape
    assert len(pictures) == 2 * CONFIG.slices
    assert 0.3 < pixel_mm < 1.2
    ratios = []
    for of_role in (slice(0, 3), slice(3, 6)):
        canal, vertebra = (
            float(np.mean(pictures[of_role][masks[of_role] == one.code]))
            for one in (Structure.CANAL, Structure.VERTEBRA)
        )
        ratios.append(canal / vertebra)
    assert ratios[0] < 1 < ratios[1]


def test_what_is_made_once_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_work(*_: object, **__: object) -> None:
        pytest.fail("a patient was rendered again")

    before = make_phantom_slices(folder, CONFIG)
    monkeypatch.setattr(phantom_slices, "patient_slices", no_work)
    again = make_phantom_slices(folder, CONFIG)
    assert len(again) == CONFIG.patients * 2 * CONFIG.slices
    assert len({one.name for one in again}) == len(again)
    assert {one.patient for one in again} == {"phantom-0", "phantom-1"}
    for one, other in zip(before, again, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)
        assert one.mask is not None
        np.testing.assert_array_equal(one.mask, other.mask)


def test_more_patients_go_on_from_those_there(folder: Path) -> None:
    steps: list[Step] = []
    more = make_phantom_slices(folder, replace(CONFIG, patients=3), progress=steps.append)
    assert steps == [Step("phantoms", 3, 3)]
    assert more[-1].patient == "phantom-2"


def test_slices_of_other_settings_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="must be of the same settings"):
        make_phantom_slices(folder, replace(CONFIG, seed=5))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="slices and layers of 1 or more"):
        PhantomSlicesConfig(slices=0)
