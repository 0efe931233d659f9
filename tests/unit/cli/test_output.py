"""The quiet log, and folders to write into."""

from __future__ import annotations

import logging
import shlex
import warnings
from pathlib import Path

import pytest

from stenograde.cli.output import needs_extra, out_folder, quiet
from stenograde.errors import ConfigError, MissingDependencyError


def test_quiet_when_not_debugging_then_nothing_reaches_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet(debug=False):
        logging.getLogger("stenograde.test").error("not shown")
        logging.getLogger("some.library").error("not shown")
        warnings.warn("not shown", stacklevel=1)
    assert capfd.readouterr() == ("", "")


def test_quiet_when_debugging_then_our_log_is_shown_and_a_librarys_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with quiet(debug=True):
        logging.getLogger("stenograde.test").debug("shown")
        logging.getLogger("some.library").error("hidden")
        warnings.warn("hidden", stacklevel=1)
    assert capsys.readouterr().err == "DEBUG stenograde.test: shown\n"


def test_quiet_when_left_then_the_log_is_as_before() -> None:
    logger = logging.getLogger("stenograde")
    before = (logger.level, logger.propagate, logger.handlers[:], logging.getLogger().handlers[:])
    with pytest.raises(KeyError), quiet(debug=True):
        raise KeyError
    assert (logger.level, logger.propagate, logger.handlers[:], logging.getLogger().handlers[:]) == before


def test_out_folder_when_missing_then_it_is_made_with_its_parents(tmp_path: Path) -> None:
    assert out_folder(tmp_path / "a" / "b").is_dir()


def test_out_folder_when_it_is_a_file_then_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("kept", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^--out must be a folder, got the file .*a; name another one$"):
        out_folder(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"^--out must be a folder that can be made, got .*b "):
        out_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "kept"


def test_missing_extra_when_run_from_a_clone_then_the_command_installs_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "a clone" / "src" / "stenograde" / "errors.py"
    monkeypatch.setattr("stenograde.errors.__file__", str(package))
    with pytest.raises(
        MissingDependencyError, match=r"torch, which is not installed; pip install 'stenograde\["
    ):
        _needs_torch()
    package.parents[2].mkdir()
    (package.parents[2] / "pyproject.toml").write_text("", encoding="utf-8")
    with pytest.raises(MissingDependencyError) as caught:
        _needs_torch()
    command = str(caught.value).partition("; ")[2]
    assert shlex.split(command) == ["pip", "install", "-e", f"{tmp_path / 'a clone'}[train]"]


def _needs_torch() -> None:
    with needs_extra("training needs"):
        raise ModuleNotFoundError(name="torch")
