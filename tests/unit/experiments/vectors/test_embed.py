"""Cohorts to vectors: geometric order, missing series, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.plain_volumes import volume_of  # noqa: E402

from stenograde.datasets.rsna2024 import AnsweredStudy  # noqa: E402
from stenograde.errors import ConfigError, DatasetError, UnreadableInstanceError  # noqa: E402
from stenograde.evaluate.rsna_metric import UNKNOWN  # noqa: E402
from stenograde.experiments.vectors import embed  # noqa: E402
from stenograde.experiments.vectors.embed import EmbedConfig, embed_cohort, embed_study, stacks_of  # noqa: E402
from stenograde.nets.volume_encoder import StackEncoder  # noqa: E402
from stenograde.study import Series, Study, Volume  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Plane, Role, Severity, Weighting  # noqa: E402

CONFIG = EmbedConfig(encoder="resnet_tiny", size_px=32)


def volume(value: float, height_mm: float, n: int = 2) -> Volume:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 0, 4), (0, 1, 0), (1, 0, 0)
    affine[2, 3] = height_mm
    pixels = np.random.default_rng(int(value)).random((n, 40, 40)).astype(np.float32) + value
    return volume_of(pixels, affine)


def series(role: Role, *volumes: Volume) -> Series:
    plane = Plane.AXIAL if role is Role.AXIAL_T2 else Plane.SAGITTAL
    weighting = Weighting.T1 if role is Role.SAGITTAL_T1 else Weighting.T2
    return Series(f"1.2.{role.value}", plane, weighting, role, "said so", volumes)


def studies() -> list[AnsweredStudy]:
    cell = LUMBAR_MRI.cells[3]
    whole = Study(
        "1.1",
        (series(Role.SAGITTAL_T1, volume(1, 0, 3)), series(Role.AXIAL_T2, volume(2, -50), volume(3, 9))),
    )
    half = Study("1.2", (series(Role.SAGITTAL_T2_STIR, volume(4, 0)),))
    return [
        AnsweredStudy("a", whole, {cell: Severity.SEVERE}, {}),
        AnsweredStudy("b", half, {}, {}),
    ]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def fake(data: Path, *, notes: list[str], progress: object = None) -> list[AnsweredStudy]:
        calls.append(1)
        return studies()

    monkeypatch.setattr(embed, "read_answered_studies", fake)
    monkeypatch.setattr(embed, "patient_folders", lambda _: (Path("a"), Path("b")))
    return calls


def test_stacks_go_from_the_head_down() -> None:
    low, high = volume(2, -50), volume(3, 9)
    given = list(stacks_of((low, high)))
    np.testing.assert_array_equal(given[0], high.pixels)
    np.testing.assert_array_equal(given[1], low.pixels)


def test_a_missing_series_is_absent_and_labels_are_ranks(tmp_path: Path, read: list[int]) -> None:
    cohort = embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    one, other = cohort.studies
    assert {role: values.shape for role, values in one.vectors.items()} == {
        Role.SAGITTAL_T1: (3, 128),
        Role.AXIAL_T2: (4, 128),
    }
    assert set(other.vectors) == {Role.SAGITTAL_T2_STIR}
    assert cohort.width == 128
    assert one.severities[3] == Severity.SEVERE.rank
    assert (other.severities == UNKNOWN).all()
    assert cohort.start == "pre-trained: no"


def test_what_is_embedded_is_not_embedded_again(
    tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    (tmp_path / "v" / embed.STUDIES).unlink()
    (tmp_path / "v" / "b.npz").unlink()
    made: list[str] = []
    real = embed.embed_study

    def counted(study: Study, *others: object) -> object:
        made.append(study.uid)
        return real(study, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(embed, "embed_study", counted)
    again = embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    assert made == ["1.2"], "the study that was there stays"
    embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    assert len(read) == 2, "with all there, no study is read"
    for one, other in zip(first.studies, again.studies, strict=True):
        for role, values in one.vectors.items():
            np.testing.assert_array_equal(values, other.vectors[role])


def test_vectors_of_other_settings_are_refused(tmp_path: Path, read: list[int]) -> None:
    embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    with pytest.raises(ConfigError, match="must be of the same settings, got another seed"):
        embed_cohort(tmp_path, EmbedConfig(encoder="resnet_tiny", size_px=32, seed=1), tmp_path / "v")


def test_no_labelled_study_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(data: Path, *, notes: list[str], progress: object = None) -> list[AnsweredStudy]:
        notes.append("7 was left out: train.csv does not list it")
        return []

    monkeypatch.setattr(embed, "read_answered_studies", nothing)
    monkeypatch.setattr(embed, "patient_folders", lambda _: (Path("7"),))
    with pytest.raises(DatasetError, match="got none; 7 was left out"):
        embed_cohort(tmp_path, CONFIG, tmp_path / "v")


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        EmbedConfig(size_px=16)


def test_other_labels_or_studies_are_other_vectors(
    tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.csv").write_text("one")
    embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    (tmp_path / "train.csv").write_text("another")
    with pytest.raises(ConfigError, match="got another labels"):
        embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    (tmp_path / "train.csv").write_text("one")
    monkeypatch.setattr(embed, "patient_folders", lambda _: (Path("a"), Path("c")))
    with pytest.raises(ConfigError, match="got another studies"):
        embed_cohort(tmp_path, CONFIG, tmp_path / "v")


def test_a_study_that_cannot_be_read_is_listed_and_the_rest_goes_on(
    tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = embed.embed_study

    def broken(study: Study, *others: object) -> object:
        if study.uid == "1.2":
            msg = "slice 3 must be decodable, got half of it"
            raise UnreadableInstanceError(msg)
        return real(study, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(embed, "embed_study", broken)
    with pytest.raises(DatasetError, match=r"1 of 2 studies .* cannot be read; b was left out: slice 3"):
        embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    monkeypatch.setattr(embed, "MOST_LEFT_OUT", 0.5)
    cohort = embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    assert [one.name for one in cohort.studies] == ["a"]
    assert cohort.notes == ("b was left out: slice 3 must be decodable, got half of it",)


def test_all_series_of_a_role_are_embedded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = StackEncoder("resnet_tiny")
    upper, lower = volume(2, 30), volume(3, -30, 4)
    both = Study("1", (series(Role.AXIAL_T2, lower), series(Role.AXIAL_T2, upper)))
    one = Study("1", (series(Role.AXIAL_T2, upper, lower),))
    found = embed_study(both, net, CONFIG)[Role.AXIAL_T2]
    assert len(found) == 6
    np.testing.assert_array_equal(found, embed_study(one, net, CONFIG)[Role.AXIAL_T2])


def test_fewer_numbers_are_a_projection_and_more_are_refused(tmp_path: Path, read: list[int]) -> None:
    cohort = embed_cohort(tmp_path, CONFIG, tmp_path / "v")
    narrow = cohort.projected(64, seed=0)
    assert narrow.width == 64
    wide, short = (one.studies[0].vectors[Role.SAGITTAL_T1] for one in (cohort, narrow))
    assert np.linalg.norm(short[0] - short[1]) == pytest.approx(np.linalg.norm(wide[0] - wide[1]), rel=0.4)
    with pytest.raises(ConfigError, match="got an encoder of 128"):
        cohort.projected(256, seed=0)


def test_an_encoder_nobody_has_is_a_wrong_setting(tmp_path: Path, read: list[int]) -> None:
    with pytest.raises(ConfigError, match="must be a model of timm, got 'resnet_5o'"):
        embed_cohort(tmp_path, EmbedConfig(encoder="resnet_5o"), tmp_path / "v")
