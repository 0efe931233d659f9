"""Exit codes and the one line on standard error, for each policy of the error tree."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from stenograde import __version__
from stenograde import cli as cli_module
from stenograde.cli import main
from stenograde.cli.examples import EXAMPLES
from stenograde.dicom.read.studies import read_study
from stenograde.errors import (
    BundleError,
    ConfigError,
    DatasetError,
    MissingDependencyError,
    NoStudyError,
    UnreadableInstanceError,
)
from stenograde.phantom import ContrastMode, Population, ProtocolMix
from stenograde.terms import Cell, Condition, Level, Severity, Side
from stenograde.workers import Step


def test_version_when_asked_then_it_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_help_when_asked_then_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("grade", "locate", "inspect", "phantom", "train", "env"):
        assert f"\n  {command} " in shown
    assert "not a medical device" in " ".join(shown.split())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["grade"],
        ["grade", "a"],
        ["no-such-command"],
        ["grade", "a", "--out", "b", "--wrong"],
        ["phantom", "--patients", "0", "--out", "b"],
        ["locate", "a.png", "--out", "b", "--spacing-mm", "0.5"],
    ],
)
def test_usage_when_it_is_wrong_then_the_exit_code_is_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (["inspect", ""], 2),
        (["inspect", "--", ""], 3),
        (["grade", "--all", "", "--out", "o"], 3),
        (["grade", "a", "--out="], 3),
        (["grade", "a", "--roles", ""], 4),
    ],
)
def test_a_word_when_empty_then_it_is_refused_and_not_taken_as_this_folder(
    words: list[str], number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"stenograde: no word of a command must be empty, got an empty one as number {number}; leave it out"
    )


def test_a_path_when_empty_then_it_is_refused() -> None:
    with pytest.raises(NoStudyError, match="got an empty path"):
        read_study("")


@pytest.mark.parametrize(
    "error",
    [NoStudyError, UnreadableInstanceError, BundleError, ConfigError, DatasetError, MissingDependencyError],
)
def test_an_error_on_purpose_when_raised_then_it_is_one_line_and_exit_code_2(
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        msg = "study must hold\n slices, got none"
        raise error(msg)

    monkeypatch.setattr("stenograde.dicom.read.studies.read_study", refuse)
    assert main(["inspect", str(tmp_path)]) == 2
    assert capsys.readouterr() == ("", "stenograde: study must hold slices, got none\n")


def test_any_other_error_when_raised_then_it_is_our_fault_and_its_text_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        msg = "DOE^JANE"
        raise KeyError(msg)

    monkeypatch.setattr("stenograde.dicom.read.studies.read_study", fail)
    assert main(["inspect", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("stenograde: a fault of ours: KeyError in cli/inspect.py line ")
    assert shown.count("\n") == 1
    assert "DOE" not in shown


def test_a_fault_when_debugging_then_its_trace_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError

    monkeypatch.setattr("stenograde.dicom.read.studies.read_study", fail)
    assert main(["--debug", "inspect", str(tmp_path)]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_env_when_asked_then_versions_and_bundle_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env"]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["stenograde"] == __version__
    assert {"python", "system", "numpy", "pydicom", "onnxruntime", "torch", "bundle"} <= set(shown)


def test_phantom_when_written_then_studies_and_answers_are_where_it_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def write(out: Path, **settings: object) -> None:
        asked.append((out, settings.pop("patients"), settings.pop("seed"), settings.pop("cells")))
        settings["progress"](Step("patients", 1, 2))  # type: ignore[operator]

    monkeypatch.setattr("stenograde.phantom.write_cohort", write)
    out = tmp_path / "cohort"
    chosen = "left_neural_foraminal_narrowing_l5_s1=severe"
    assert main(["phantom", "--patients", "2", "--seed", "5", "--out", str(out), "--cell", chosen]) == 0
    cell = Cell(Condition.NEURAL_FORAMINAL_NARROWING, Level.L5_S1, Side.LEFT)
    assert asked == [(out, 2, 5, {cell: Severity.SEVERE})]
    assert str(out / "train_images") in capsys.readouterr().out


def test_phantom_when_a_config_is_given_then_patients_and_protocols_are_drawn_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("stenograde.phantom.write_cohort", lambda _, **settings: asked.append(settings))
    config = tmp_path / "cohort.toml"
    config.write_text(
        "[population]\ntransitional_share = 0.5\n[mix]\nmissing_share = 0.25\n", encoding="utf-8"
    )
    words = ["phantom", "--patients", "1", "--out", str(tmp_path / "c"), "--config", str(config)]
    assert main([*words, "--contrast", "3t_long_te"]) == 0
    assert asked[0]["population"] == Population(transitional_share=0.5)
    assert asked[0]["protocol"] == ProtocolMix(ContrastMode.LONG_TE_3T, missing_share=0.25)
    config.write_text("[mix]\nmissing = 0.25\n", encoding="utf-8")
    assert main(words) == 2
    assert "mix has no setting 'missing'" in capsys.readouterr().err


@pytest.mark.parametrize("chosen", ["l5_s1=severe", "spinal_canal_stenosis_l4_l5=bad", "nothing"])
def test_phantom_when_a_cell_is_unknown_then_it_says_what_a_cell_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, chosen: str
) -> None:
    assert main(["phantom", "--patients", "1", "--out", str(tmp_path), "--cell", chosen]) == 2
    told = capsys.readouterr().err
    assert "--cell must be CELL=SEVERITY" in told
    assert chosen in told


def test_phantom_when_cervical_then_necks_are_written_and_the_manifest_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def write(out: Path, **settings: object) -> None:
        asked.append((out, settings["patients"], settings["seed"], settings["workers"]))
        asked.append([view.value for view in settings["config"].views])  # type: ignore[attr-defined]

    monkeypatch.setattr("stenograde.phantom.neck.write_necks", write)
    words = ["--region", "cervical", "--films", "obliques", "--workers", "2", "--seed", "3"]
    assert main(["phantom", "--patients", "4", "--out", str(tmp_path / "n"), *words]) == 0
    assert asked == [(tmp_path / "n", 4, 3, 2), ["rpo", "lpo"]]
    assert str(tmp_path / "n" / "foramina.csv") in capsys.readouterr().out
    (tmp_path / "n" / "images" / "1").mkdir(parents=True)
    assert main(["phantom", "--patients", "1", "--out", str(tmp_path / "n"), *words]) == 2
    assert "--out must not hold a cohort already, got " in capsys.readouterr().err


def test_phantom_when_out_is_a_file_then_it_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a").write_text(json.dumps({}), encoding="utf-8")
    assert main(["phantom", "--patients", "1", "--out", str(tmp_path / "a")]) == 2
    assert "--out must be a folder, got the file" in capsys.readouterr().err


def test_phantom_when_a_cohort_is_there_already_then_it_is_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "train_images" / "1").mkdir(parents=True)
    assert main(["phantom", "--patients", "1", "--out", str(tmp_path)]) == 2
    assert "--out must not hold a cohort already, got " in capsys.readouterr().err


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every command and group with the words that name it."""
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


COMMANDS = dict(commands(get_command(cli_module._build())))


@pytest.mark.parametrize("words", list(COMMANDS), ids=" ".join)
def test_help_when_asked_for_with_a_single_letter_then_it_ends_with_examples(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-h"]) == 0
    told = capsys.readouterr().out
    assert "-h, --help" in told
    examples = told.partition("Examples:\n")[2].splitlines()
    assert examples == [f"    {line}" for line in EXAMPLES[" ".join(words)]]


@pytest.mark.parametrize("line", sorted({line for lines in EXAMPLES.values() for line in lines}))
def test_example_in_a_help_text_when_parsed_then_its_words_are_known(line: str) -> None:
    program, *words = shlex.split(line.partition(" > ")[0])
    if program == "torchrun":
        assert words[:4] == ["--nproc-per-node", "4", "-m", "stenograde"]
        program, *words = words[3:]
    assert program == "stenograde"
    command, context = COMMANDS[()], None
    if words == ["--install-completion"]:
        return
    while hasattr(command, "commands"):
        context = command.make_context(words[0], list(words), parent=context, resilient_parsing=True)
        _, command, words = command.resolve_command(context, words)
    with command.make_context(command.name, list(words), parent=context) as parsed:
        assert parsed.command is command


def test_completion_when_a_shell_asks_then_commands_and_options_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_STENOGRADE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "stenograde gra")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert main([]) == 0
    assert capsys.readouterr().out.split() == ["grade"]
    monkeypatch.setenv("COMP_WORDS", "stenograde grade --no-d")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert main([]) == 0
    assert capsys.readouterr().out.split() == ["--no-demographics"]


def test_phantom_when_bones_cannot_be_read_then_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, bones = tmp_path / "cohort", tmp_path / "bones"
    assert main(["phantom", "--patients", "1", "--out", str(out), "--bones", str(bones)]) != 0
    assert "labels_05mm.npz" in capsys.readouterr().err
    assert not out.exists() or not any(out.iterdir())
    words = ["phantom", "--patients", "1", "--out", str(out), "--region", "cervical"]
    assert main([*words, "--bones", str(bones)]) == 2
    assert "--bones" in capsys.readouterr().err
