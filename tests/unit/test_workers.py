"""Work in processes gives what work in this process gives, in order."""

from __future__ import annotations

import operator
import os
from functools import partial

import pytest

from stenograde.workers import in_processes


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_the_things_whatever_the_number_of_processes(workers: int) -> None:
    assert list(in_processes(partial(operator.mul, 3), range(20), workers)) == [3 * k for k in range(20)]


def test_more_than_one_worker_works_elsewhere_and_one_works_here() -> None:
    pid = os.getpid()
    assert {*in_processes(_process, range(3), 1)} == {pid}
    assert pid not in {*in_processes(_process, range(3), 2)}


def _process(_: int) -> int:
    return os.getpid()


def test_an_error_in_a_process_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_processes(partial(operator.floordiv, 1), [1, 0], 2))
