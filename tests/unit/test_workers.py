"""Work in processes gives what work in this process gives, in order."""

from __future__ import annotations

import contextlib
import io
import itertools
import multiprocessing
import operator
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stenograde.errors import ConfigError, FaultElsewhereError, StenogradeError, line_of
from stenograde.workers import (
    TRIES,
    Step,
    _work,
    counted,
    import_meanwhile,
    in_processes,
    in_workers,
    n_cores,
    named,
    share_cores,
    within,
)


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


def _counting() -> Callable[[int], tuple[int, int, int]]:
    """Return what tells its process, how many things it was given there, and the thing."""
    numbers = itertools.count(1)
    return lambda thing: (os.getpid(), next(numbers), thing)


def _nothing_given_up(thing: int) -> tuple[int, int, int]:
    raise AssertionError(thing)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_that_last_are_made_once_and_each_thing_is_taken_once(workers: int) -> None:
    by_process: dict[int, list[int]] = {}
    things = []
    for process, number, thing in in_workers(_counting, range(12), workers, given_up=_nothing_given_up):
        by_process.setdefault(process, []).append(number)
        things.append(thing)
    assert sorted(things) == [*range(12)]
    assert len(by_process) <= workers
    assert all(numbers == [*range(1, len(numbers) + 1)] for numbers in by_process.values())
    assert os.getpid() not in by_process


def _ending() -> Callable[[int], int]:
    return lambda thing: os._exit(1) if thing == 3 else thing


def test_a_thing_that_ends_its_workers_is_given_up_and_the_others_are_not() -> None:
    assert sorted(in_workers(_ending, range(6), 2, given_up=lambda thing: -thing)) == [-3, 0, 1, 2, 4, 5]


def _failing(error: Exception, *, at_once: bool) -> Callable[[int], int]:
    def fail(_: int) -> int:
        raise error

    return fail(0) if at_once else fail  # type: ignore[return-value]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("error", "kind", "line", "ours"),
    [
        (ConfigError("a bundle must work"), ConfigError, "a bundle must work", False),
        (EOFError(), FaultElsewhereError, "a fault of ours: EOFError", True),
        (ValueError("Planted^Name"), FaultElsewhereError, "a fault of ours: ValueError", True),
        (MemoryError(), StenogradeError, ("memory must suffice", "workers must be able to start"), False),
    ],
)
def test_what_workers_cannot_go_on_from_reaches_the_caller_and_no_text_that_is_not_ours(
    error: Exception,
    kind: type[Exception],
    line: str | tuple[str, ...],
    ours: bool,
    at_once: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(kind) as caught:
        list(in_workers(partial(_failing, error, at_once=at_once), range(6), 2, given_up=abs))
    told, is_our_fault = line_of(caught.value)
    assert told.startswith(line)
    assert is_our_fault == ours
    assert capfd.readouterr() == ("", "")


def _able_once(marks: Path) -> Callable[[int], int]:
    """Return what gives back each thing, once others have tried to start in vain; only the first process can start."""
    try:
        (marks / "able").mkdir()
    except FileExistsError:
        (marks / str(os.getpid())).mkdir()
        os._exit(1)

    def work(thing: int) -> int:
        deadline = time.monotonic() + 60
        while len(list(marks.iterdir())) < 1 + TRIES and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)  # (until the last of them has ended, and that is heard)
        return thing

    return work


def test_a_worker_that_cannot_start_does_not_stop_one_that_can(tmp_path: Path) -> None:
    given = in_workers(partial(_able_once, tmp_path), range(6), 2, given_up=lambda thing: -thing)
    assert sorted(given) == [*range(6)]
    assert len(list(tmp_path.iterdir())) == 1 + TRIES


def test_a_worker_that_fails_prints_nothing_when_it_ends_of_itself(
    capfd: pytest.CaptureFixture[str],
) -> None:
    ours, theirs = multiprocessing.Pipe()
    make = partial(_failing, ValueError("Planted^Name"), at_once=True)
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(theirs, make, os.getpid()))
    process.start()
    assert isinstance(ours.recv(), FaultElsewhereError)
    process.join()
    assert process.exitcode == 0
    assert capfd.readouterr() == ("", "")


def test_what_is_counted_is_told_when_the_next_is_asked_for() -> None:
    steps: list[Step] = []
    told_before = [len(steps) for _ in counted("abc", "letters", 5, steps.append, before=2)]
    assert told_before == [0, 1, 2]
    assert steps == [Step("letters", 3, 5), Step("letters", 4, 5), Step("letters", 5, 5)]
    assert list(counted("abc", "letters", 3, None)) == ["a", "b", "c"]


def test_steps_are_told_under_the_name_of_the_whole() -> None:
    steps: list[Step] = []
    progress = within(named(steps.append, "crops"), "fold {1}")
    assert progress is not None
    progress(Step("studies", 1, 2, "epoch", 0.5))
    renamed = within(steps.append, "fold {1}")
    assert renamed is not None
    renamed(Step("studies", 1, 2))
    assert steps == [Step("crops", 1, 2, "epoch", 0.5), Step("fold {1}: studies", 1, 2)]
    assert named(None, "crops") is within(None, "fold") is None


def test_processes_that_share_the_cores_have_at_least_one_each() -> None:
    alone = n_cores()
    try:
        for processes in (1, 2, 2 * alone):
            share_cores(processes)
            assert n_cores() == max(alone // processes, 1)
    finally:
        share_cores(1)


def test_what_is_imported_meanwhile_says_nothing_where_it_cannot_be(recwarn: pytest.WarningsRecorder) -> None:
    before = set(threading.enumerate())
    sys.modules.pop("this", None)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        import_meanwhile("this")
        import_meanwhile("stenograde.no_such_module")
        for thread in set(threading.enumerate()) - before:
            thread.join()
    assert "this" in sys.modules
    assert "Zen" in said.getvalue()
    assert not recwarn.list  # (pytest makes a warning of what a thread raises)
