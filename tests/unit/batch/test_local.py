"""The local engine: every study has one record, whatever becomes of the processes."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from tests.dying_workers import DyingWorker, StillbornWorker

from stenograde.batch.local import grade_here
from stenograde.batch.manifest import Entry
from stenograde.batch.records import FAULT, NOT_GRADED, SET_ASIDE
from stenograde.batch.worker import Worker, WorkerSettings
from stenograde.errors import BundleError, StenogradeError

run = partial(grade_here, settings=WorkerSettings(), make=DyingWorker)


def entries(*names: str) -> list[Entry]:
    return [Entry(row, f"/nowhere/{row}", name) for row, name in enumerate(names)]


@pytest.mark.parametrize("workers", [1, 3])
def test_each_study_has_one_record(workers):
    names = [f"study {k}" for k in range(20)]

    records = list(run(entries(*names), workers=workers))

    assert sorted(record["row"] for record in records) == list(range(20))
    assert {record["study"]["reason"] for record in records} == {f"looked at {name}" for name in names}


def test_a_study_that_ends_its_worker_again_and_again_is_set_aside_and_the_others_are_not():
    records = list(run(entries("a", "kills", "b", "kills", "c"), workers=2))

    outcome = {record["row"]: record["study"]["outcome"] for record in records}
    assert outcome == {0: NOT_GRADED, 1: SET_ASIDE, 2: NOT_GRADED, 3: SET_ASIDE, 4: NOT_GRADED}
    assert Counter(record["row"] for record in records).most_common(1)[0][1] == 1
    reason = next(record["study"]["reason"] for record in records if record["row"] == 1)
    assert reason.startswith("it ended the process that graded it 3 times")


def test_a_study_whose_worker_was_ended_once_is_tried_again(tmp_path):
    study = Entry(0, str(tmp_path / "mark"), "once")

    (record,) = run([study], workers=1)

    assert (tmp_path / "mark").exists()
    assert record["study"]["outcome"] == NOT_GRADED


def test_what_no_study_is_at_fault_for_stops_the_run():
    with pytest.raises(BundleError, match="a bundle must work"):
        list(run(entries("a", "stops", "b"), workers=1))


def test_workers_that_cannot_start_stop_the_run():
    with pytest.raises(StenogradeError, match="workers must be able to start"):
        list(grade_here(entries("a"), WorkerSettings(), 1, make=StillbornWorker))


def test_a_cohort_of_none_has_no_records():
    assert list(run([], workers=2)) == []


class Faulty(Worker):
    """Fails before a study is read."""

    def __init__(self) -> None:
        pass

    def _record(self, entry):
        raise ZeroDivisionError(entry.name)


def test_a_fault_beside_the_reading_of_a_study_is_that_study_s_alone():
    (entry,) = entries("Planted^Name")
    study = Faulty().grade(entry)["study"]
    assert study["outcome"] == FAULT
    assert study["reason"].startswith("a fault of ours: ZeroDivisionError")
    assert "Planted" not in study["reason"]
