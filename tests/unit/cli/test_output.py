"""Error lines, the quiet log, and files that appear whole or not at all."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenograde.cli.output import fault_line, one_line, out_folder, quiet, safe_name
from stenograde.errors import ConfigError, StudyError


def test_one_line_when_an_error_has_notes_and_line_breaks_then_all_is_on_one_line() -> None:
    error = StudyError("slices must be even,\n   got 3")
    error.add_note("while reading\nseries 1.2")
    assert one_line(error) == "slices must be even, got 3; while reading series 1.2"


def test_one_line_when_an_error_has_no_text_then_its_kind_is_said() -> None:
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_fault_line_when_an_error_quotes_a_header_then_the_quote_is_not_shown() -> None:
    try:
        safe_name(None, set())  # type: ignore[arg-type]
    except TypeError as exc:
        exc.args = ("DOE^JANE",)
        line = fault_line(exc)
    assert line.startswith("a fault of ours: TypeError in cli/output.py line ")
    assert "DOE" not in line
    assert "stenograde env" in line


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


@given(st.lists(st.text(max_size=80) | st.from_regex(r"[0-9.]{1,64}", fullmatch=True), max_size=6))
def test_safe_names_for_any_texts_are_distinct_and_stay_in_their_folder(texts: list[str]) -> None:
    taken: set[str] = set()
    names = [safe_name(text, taken) for text in texts]
    assert len(set(names)) == len(names)
    assert all(Path(name).name == name and name not in (".", "..") and name.isascii() for name in names)


def test_safe_name_for_a_study_uid_is_the_uid() -> None:
    assert safe_name("1.2.826.0.1.3680043.8.498.1", set()) == "1.2.826.0.1.3680043.8.498.1"
