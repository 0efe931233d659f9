"""``stenograde experiment`` for recipes of several series: starts of encoders, and options that are not theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from stenograde.cli import main
from stenograde.cli.experiment_series import start_of, starts_of
from stenograde.errors import ConfigError

ENCODERS = ("resnet50", "medicalnet152")


def test_each_encoder_is_given_its_start(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.touch()
    assert starts_of(None, ENCODERS) == {}
    assert starts_of("hub", ENCODERS) == {"resnet50": "hub", "medicalnet152": "hub"}
    assert starts_of(f"resnet50={file},medicalnet152=hub", ENCODERS) == {
        "resnet50": file,
        "medicalnet152": "hub",
    }
    assert start_of(str(file)) == file


@pytest.mark.parametrize("weights", ["resnet18=hub", "resnet50", "resnet50=", "/no/such/file"])
def test_a_start_of_no_encoder_is_refused(weights: str) -> None:
    with pytest.raises(ConfigError, match="with encoders medicalnet152, resnet50, got"):
        starts_of(weights, ENCODERS)


def test_a_start_that_is_no_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a file or 'hub', got /no/such/file"):
        starts_of("resnet50=/no/such/file", ENCODERS)


@pytest.mark.parametrize(
    ("recipe", "option"),
    [
        ("s3", ("--protocol", "published")),
        ("s3", ("--protocol", "patient", "--repeats", "3")),
        ("s3-fusion", ("--protocol", "patient", "--patient-pattern", "x")),
        ("s3-spider", ("--protocol", "patient", "--weights", "hub")),
    ],
)
def test_an_option_that_would_not_be_heard_is_refused(
    recipe: str, option: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    assert main(["experiment", recipe, "--data", str(tmp_path), "--out", str(tmp_path / "o"), *option]) != 0
    said = capsys.readouterr().err
    assert f"{recipe} takes --protocol patient alone" in said
    assert option[-2] in said
    assert not (tmp_path / "o").exists()
