"""The kinds of experiment: starts of encoders, options that a kind does not take, and what needs which extra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from stenograde.cli import main
from stenograde.errors import ConfigError
from stenograde.experiments.kinds import KINDS, Request, read_experiment, start_of, starts_of
from stenograde.experiments.recipes.catalogue import Kind

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


@pytest.mark.parametrize("word", ["hub", "imagenet"])
def test_a_word_is_the_start_of_all_encoders_or_of_one(word: str) -> None:
    assert starts_of(word, ENCODERS) == dict.fromkeys(sorted(ENCODERS), word)
    assert starts_of(f"resnet50={word}", ENCODERS) == {"resnet50": word}


def test_a_start_that_is_no_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a file, 'hub' or 'imagenet', got /no/such/file"):
        starts_of("resnet50=/no/such/file", ENCODERS)


@pytest.mark.parametrize(
    ("recipe", "option"),
    [
        ("s3", ("--protocol", "published")),
        ("s3", ("--protocol", "patient", "--repeats", "3")),
        ("s3-fusion", ("--protocol", "patient", "--patient-pattern", "x")),
        ("s3-spider", ("--protocol", "patient", "--repeats", "3")),
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


def test_weights_without_a_frozen_encoder_that_would_take_them_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    asked = Request("s3-spider", tmp_path, "patient", "quick", weights="imagenet")
    with pytest.raises(ConfigError, match=r"add --set net\.frozen=tf_efficientnet_lite0"):
        read_experiment(asked)


def test_every_kind_that_a_recipe_may_name_is_in_the_table() -> None:
    assert set(KINDS) == set(get_args(Kind))


def test_kinds_come_without_what_only_some_of_them_need() -> None:
    code = "import sys; import stenograde.experiments.kinds; sys.exit(bool({'torch', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
