"""From phantoms to a bundle with second opinions: views, their tissues, a resumed training, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from stenograde.errors import ConfigError
from stenograde.levels.rooms import BESIDE_MM, RECESS_MAP, RoomTissue, RoomView, room_of
from stenograde.phantom import Population
from stenograde.predict import foramina as predicted
from stenograde.predict import recesses as predicted_recesses
from stenograde.predict.bundle import default_bundle, load_bundle
from stenograde.terms import Severity
from stenograde.train.loop.fit_config import FitConfig
from stenograde.train.rooms.bundle import train_rooms
from stenograde.train.rooms.foramina import ForaminaTraining
from stenograde.train.rooms.recesses import RecessesTraining
from stenograde.train.rooms.slices import RoomKind, RoomSlicesConfig, make_room_slices, patient_views
from stenograde.train.rooms.training import RoomAugment, changed, loss_of

pytestmark = [
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.filterwarnings("default::torch.jit.TracerWarning"),
]

DATA = RoomSlicesConfig(view=RoomView(size_px=80, grid_mm=0.5), layers=1, worse_by=0.0)
TINY = ForaminaTraining(
    data=DATA,
    view=RoomView(size_px=48, grid_mm=0.5),
    widths=(4, 8),
    fit=FitConfig(epochs=1, batch=8, average=0.0, precision="32"),
    tested_share=0.5,
)


@pytest.fixture(scope="module")
def views():
    return patient_views(3, RoomKind.FORAMINA, DATA, seed=1)


def test_views_of_a_phantom_are_always_the_same_and_show_its_foramina(views) -> None:
    pictures, tissues, facts = views
    again = patient_views(3, RoomKind.FORAMINA, DATA, seed=1)
    for one, other in zip(views, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert pictures.shape[1:] == (80, 80)
    assert tissues.shape == (len(pictures), len(RoomTissue) - 1, 80, 80)
    assert (facts[:, 2] == 0).sum() == 10
    assert tissues.astype(int).sum(axis=1).max() <= 257  # shares of one pixel, rounded
    middle = tissues[facts[:, 2] == 0][:, :, 34:46, 34:46].mean(axis=(0, 2, 3)) / 255
    assert middle[RoomTissue.NERVE] > 0.2  # a root runs through the middle of every foramen


def test_open_foramina_have_more_fat_than_narrowed_ones() -> None:
    fat = {}
    for severity in (Severity.NORMAL_MILD, Severity.SEVERE):
        shares = {
            condition: tuple(tuple(1.0 if one is severity else 0.0 for one in Severity) for _ in rows)
            for condition, rows in Population().severity_shares.items()
        }
        config = replace(DATA, population=Population(severity_shares=shares))
        _, tissues, facts = patient_views(4, RoomKind.FORAMINA, config, seed=1)
        rooms = [room_of(one / np.float32(255), 0.5) for one in tissues[facts[:, 2] == 0]]
        fat[severity] = np.median([room.fat_mm2 for room in rooms])
    assert fat[Severity.NORMAL_MILD] > 2 * fat[Severity.SEVERE]


def test_changes_move_picture_and_tissues_alike() -> None:
    size = 60
    picture = torch.zeros(2, 1, size, size)
    picture[..., 25:35, 20:40] = 100.0
    shares = torch.zeros(2, len(RoomTissue) - 1, size, size)
    shares[:, RoomTissue.FAT] = picture[:, 0] / 100
    mild = RoomAugment(gamma_log=0, bias=0, blur=0, noise=0)
    batch = changed(picture, shares, mild, TINY.view, np.random.default_rng(1))
    assert batch["input"].shape == (2, 1, 48, 48)
    torch.testing.assert_close(batch["target"].sum(1), torch.ones(2, 48, 48))
    bright, fat = batch["input"][:, 0] > 0, batch["target"][:, RoomTissue.FAT] > 0.5
    assert (bright == fat).float().mean() > 0.98
    assert not torch.equal(batch["input"][0], batch["input"][1])


def test_recesses_are_moved_with_the_picture_and_are_told_apart_from_tissues() -> None:
    size = 60
    picture = torch.zeros(2, 1, size, size)
    picture[..., 25:35, 10:25] = 100.0
    shares = torch.zeros(2, RECESS_MAP, size, size)
    shares[:, -1] = picture[:, 0] / 100  # a recess that no tissue that is told fills
    mild = RoomAugment(gamma_log=0, bias=0, blur=0, noise=0, mirrored=True)
    for seed in range(4):  # mirrored and not
        batch = changed(picture, shares, mild, TINY.view, np.random.default_rng(seed))
        assert batch["target"].shape == (2, RECESS_MAP + 1, 48, 48)
        torch.testing.assert_close(batch["target"][:, :RECESS_MAP].sum(1), torch.ones(2, 48, 48))
        bright, recess = batch["input"][:, 0] > 0, batch["target"][:, RECESS_MAP] > 0.5
        assert (bright == recess).float().mean() > 0.98
    right = torch.where(batch["target"] > 0.5, 9.0, -9.0)
    wrong = right.clone()
    wrong[:, RECESS_MAP] *= -1
    assert loss_of(right, batch) + 5 < loss_of(wrong, batch)
    assert loss_of(right[:, :RECESS_MAP], {"target": batch["target"][:, :RECESS_MAP]}) < loss_of(right, batch)


def test_a_bundle_gets_a_second_opinion_and_training_resumes(tmp_path: Path) -> None:
    base = default_bundle()
    out = tmp_path / "bundle"
    found = train_rooms(out, TINY, patients=8, seed=1, base=base)
    bundle = load_bundle(out)
    assert bundle.table.foramina is not None
    assert bundle.foramina is not None
    assert set(found.usual) == set(bundle.table.foramina.usual)
    assert bundle.card.count(predicted.HEADLINE) == 1
    assert "learnt from 8 phantoms (seed 1)" in bundle.card
    again = train_rooms(out, TINY, patients=8, seed=1, base=base)
    assert (again.usual, again.area_error_mm2) == (found.usual, found.area_error_mm2)
    with pytest.raises(ConfigError, match="views"):
        make_room_slices(out / "training" / "foramina" / "views", RoomKind.FORAMINA, DATA, patients=8, seed=2)


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    base = default_bundle()
    with pytest.raises(ConfigError, match="another folder"):
        train_rooms(base.folder, TINY, patients=8, seed=1, base=base)
    odd = replace(TINY, view=RoomView(size_px=50, grid_mm=0.5))
    with pytest.raises(ConfigError, match="multiple of 4"):
        train_rooms(tmp_path, odd, patients=8, seed=1, base=base)
    with pytest.raises(ValueError, match="one grid_mm"):
        replace(TINY, view=RoomView())


def test_axial_views_are_about_the_canal_and_their_heights_are_the_phantoms() -> None:
    pictures, tissues, facts = patient_views(3, RoomKind.RECESSES, DATA, seed=1)
    assert 1 <= len(pictures) <= 5
    assert facts[:, 0].tolist() == sorted(facts[:, 0])
    assert ((facts[:, 1:] > 0) & (facts[:, 1:] < 7)).all()
    middle = tissues[:, RoomTissue.NERVE, 37:43, 37:43].mean(axis=(1, 2)) / 255
    assert (middle > 0.8).all()  # the sac is in the middle


def test_the_area_of_a_recess_is_its_height_times_its_width() -> None:
    for number in range(3):
        _, tissues, facts = patient_views(number, RoomKind.RECESSES, DATA, seed=1)
        area_mm2 = tissues[:, RECESS_MAP - 1].astype(float) / 255 * DATA.view.grid_mm**2
        sides = np.stack([area_mm2[..., 40:].sum((1, 2)), area_mm2[..., :40].sum((1, 2))], axis=1)
        heights = sides / (BESIDE_MM[1] - BESIDE_MM[0])
        # slices miss the disc by some mm, and recesses rise away from it
        assert np.abs(heights - facts[:, 1:]).max() < 1.0
        assert np.median(np.abs(heights - facts[:, 1:])) < 0.3


def test_a_bundle_gets_a_second_opinion_on_recesses(tmp_path: Path) -> None:
    base = default_bundle()
    how = replace(TINY.fit, epochs=60, batch=5, learning_rate=1e-2)
    tiny = RecessesTraining(data=DATA, view=TINY.view, widths=TINY.widths, fit=how, tested_share=0.5)
    found = train_rooms(tmp_path, tiny, patients=6, seed=1, base=base)
    bundle = load_bundle(tmp_path)
    assert bundle.table.recesses is not None
    assert bundle.recesses is not None
    assert bundle.card.count(predicted_recesses.HEADLINE) == 1
    assert found.recesses > found.unseen
