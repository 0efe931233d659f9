"""A cohort's tables: each study once and in order, whatever order it is done in and however often it is stopped."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stenograde.batch.manifest import Entry
from stenograde.batch.records import Record, not_fetched, not_graded
from stenograde.batch.run import CohortOutcome, grade_manifest
from stenograde.batch.worker import WorkerSettings
from stenograde.errors import ConfigError
from stenograde.grading.study import NotGraded


class StoppedError(Exception):
    """The run was stopped from outside."""


class FakeEngine:
    """Makes records in some order, and stops after so many."""

    def __init__(self, seed: int, stops_after: int | None = None) -> None:
        self.random, self.stops_after = random.Random(seed), stops_after
        self.given: list[int] = []

    def __call__(self, entries: Iterable[Entry], settings: WorkerSettings, workers: int) -> Iterator[Record]:
        todo = list(entries)
        self.random.shuffle(todo)
        for number, entry in enumerate(todo):
            if number == self.stops_after:
                raise StoppedError
            self.given.append(entry.row)
            yield not_graded(entry, NotGraded(entry.name, "no study", is_our_fault=entry.row == 3))


def manifest_of(folder: Path, n: int) -> Path:
    path = folder / "manifest.csv"
    path.write_text("source,name\n" + "".join(f"{k}.zip,study {k}\n" for k in range(n)))
    return path


def run(folder: Path, n: int, engine: FakeEngine, *, part: int = 4) -> CohortOutcome:
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return grade_manifest(manifest_of(folder, n), out, WorkerSettings(), engine=engine, workers=2, part=part)


def rows_in(out: Path) -> list[int]:
    return [
        row
        for part in sorted((out / "studies").glob("*.parquet"))
        for row in pq.read_table(part)["row"].to_pylist()
    ]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 14), part=st.integers(1, 6), stops=st.lists(st.integers(0, 6), max_size=4))
def test_each_study_is_in_the_tables_once_and_in_order_however_often_it_is_stopped(
    tmp_path_factory, n, part, stops
):
    folder, done = tmp_path_factory.mktemp("cohort"), []
    for seed, after in enumerate(stops):
        engine = FakeEngine(seed, stops_after=after)
        with suppress(StoppedError):
            run(folder, n, engine, part=part)
        done += engine.given
    last = FakeEngine(99)
    found = run(folder, n, last, part=part)

    assert sorted(done + last.given) == list(range(n)), "nothing was done twice"
    assert rows_in(folder / "out") == list(range(n))
    assert sum(found.outcomes.values()) == found.studies == n
    assert found.earlier == len(done)
    assert (folder / "out" / "unfinished.jsonl").read_text() == ""


def test_outcomes_of_all_runs_are_told(tmp_path):
    with pytest.raises(StoppedError):
        run(tmp_path, 6, FakeEngine(0, stops_after=5))
    found = run(tmp_path, 6, FakeEngine(1))

    assert found.outcomes == {"fault": 1, "not graded": 5}
    assert found.earlier == 5


def test_a_line_that_was_cut_short_is_done_again(tmp_path):
    with pytest.raises(StoppedError):
        run(tmp_path, 6, FakeEngine(0, stops_after=3), part=6)
    file = tmp_path / "out" / "unfinished.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    cut = json.loads(lines[-1])["row"]
    file.write_text("".join(lines[:-1]) + lines[-1][:40])

    engine = FakeEngine(1)
    run(tmp_path, 6, engine, part=6)

    assert cut in engine.given
    assert rows_in(tmp_path / "out") == list(range(6))


def test_a_part_of_which_one_table_is_missing_is_made_again(tmp_path):
    run(tmp_path, 4, FakeEngine(0))
    (tmp_path / "out" / "cells" / "part-000000.parquet").unlink()

    engine = FakeEngine(1)
    run(tmp_path, 4, engine)

    assert sorted(engine.given) == [0, 1, 2, 3]


def test_what_could_not_be_fetched_is_tried_again_and_the_rest_of_its_part_is_not(tmp_path):
    class Away(FakeEngine):
        def __call__(self, entries, settings, workers):
            for record in super().__call__(entries, settings, workers):
                away = record["row"] in {1, 5}
                yield not_fetched(Entry(record["row"], "s3://x", "x"), "away") if away else record

    assert run(tmp_path, 6, Away(0)).outcomes["not fetched"] == 2
    engine = FakeEngine(1)
    found = run(tmp_path, 6, engine)

    assert sorted(engine.given) == [1, 5]
    assert found.outcomes == {"fault": 1, "not graded": 5}
    assert found.earlier == 4
    assert rows_in(tmp_path / "out") == list(range(6))


def test_other_settings_are_refused(tmp_path):
    run(tmp_path, 4, FakeEngine(0))
    with pytest.raises(ConfigError, match="another memory limit;"):
        grade_manifest(
            manifest_of(tmp_path, 4),
            tmp_path / "out",
            WorkerSettings(memory_limit=1 << 30),
            engine=FakeEngine(0),
            workers=1,
            part=4,
        )


def test_another_manifest_is_refused(tmp_path):
    run(tmp_path, 4, FakeEngine(0))
    with pytest.raises(ConfigError, match="another manifest; choose another folder"):
        run(tmp_path, 5, FakeEngine(0))


def test_other_parts_are_refused(tmp_path):
    run(tmp_path, 4, FakeEngine(0))
    with pytest.raises(ConfigError, match="another part;"):
        run(tmp_path, 4, FakeEngine(0), part=2)


def test_progress_counts_what_earlier_runs_did(tmp_path):
    with pytest.raises(StoppedError):
        run(tmp_path, 6, FakeEngine(0, stops_after=2))
    steps = []
    grade_manifest(
        manifest_of(tmp_path, 6),
        tmp_path / "out",
        WorkerSettings(),
        engine=FakeEngine(1),
        workers=1,
        part=4,
        progress=steps.append,
    )
    assert [(step.done, step.total) for step in steps] == [(k, 6) for k in range(3, 7)]
