"""The tree of errors: each branch is a policy, and the tree drawn in the docstring is the tree there is."""

from __future__ import annotations

import inspect
import re

import pytest

from stenograde import errors
from stenograde.terms import Level

_ALL = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.StenogradeError)
}


def test_tree_when_drawn_then_every_error_is_in_it_and_no_other() -> None:
    assert errors.__doc__ is not None
    assert set(re.findall(r"\w+Error", errors.__doc__)) == set(_ALL)


@pytest.mark.parametrize(
    "kind",
    [
        errors.NoStudyError,
        errors.SeveralStudiesError,
        errors.UnreadableInstanceError,
        errors.IrregularSlicesError,
        errors.MissingSeriesError,
    ],
)
def test_an_error_of_one_study_when_raised_then_catching_study_errors_catches_it(
    kind: type[errors.StudyError],
) -> None:
    assert issubclass(kind, errors.StudyError)


@pytest.mark.parametrize("kind", [errors.BundleError, errors.ConfigError, errors.DatasetError])
def test_an_error_that_stops_the_start_when_raised_then_it_is_not_taken_for_a_bad_study(
    kind: type[errors.StenogradeError],
) -> None:
    assert not issubclass(kind, errors.StudyError)


def test_a_missing_package_when_raised_then_code_that_expects_import_errors_catches_it() -> None:
    assert issubclass(errors.MissingDependencyError, ImportError)


def test_one_line_when_an_error_has_notes_and_line_breaks_then_all_is_on_one_line() -> None:
    error = errors.StudyError("slices must be even,\n   got 3")
    error.add_note("while reading\nseries 1.2")
    assert errors.one_line(error) == "slices must be even, got 3; while reading series 1.2"


def test_one_line_when_an_error_has_no_text_then_its_kind_is_said() -> None:
    assert errors.one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_fault_line_when_an_error_quotes_a_header_then_the_quote_is_not_shown() -> None:
    try:
        Level.parse(None)  # type: ignore[arg-type]
    except AttributeError as exc:
        exc.args = ("DOE^JANE",)
        line = errors.fault_line(exc)
    assert line.startswith("a fault of ours: AttributeError in terms.py line ")
    assert "DOE" not in line
    assert "stenograde env" in line
