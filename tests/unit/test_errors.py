"""The tree of errors: each branch is a policy, and the tree drawn in the docstring is the tree there is."""

from __future__ import annotations

import inspect
import re

import pytest

from stenograde import errors

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
