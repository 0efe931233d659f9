"""The numbers for Prometheus, read back by its own parser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.service.conftest import Clock

from stenograde.pacs.database import Database
from stenograde.pacs.deliveries import Deliveries
from stenograde.pacs.metrics import Metrics
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import GradingSettings, SendSettings
from stenograde.pacs.store import Store

Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


def numbers(metrics: Metrics) -> Numbers:
    """Every sample, by its name and labels."""
    families = text_string_to_metric_families(metrics.as_text().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def of(found: Numbers, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


@pytest.fixture
def queue(database: Database, clock: Clock) -> Queue:
    return Queue(database, None, GradingSettings(attempts=1, backoff_s=0), clock=clock)


@pytest.fixture
def graded(queue: Queue, clock: Clock) -> list[str]:
    """Studies that took 7, 7 and 45 s to be graded, and one that failed."""
    studies = ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]
    for study, seconds in zip(studies, (7, 7, 45, 3), strict=True):
        with queue.database.writing() as connection:
            queue.touch(connection, study)
        queue.complete(study)
        job = queue.claim("worker-1")
        assert job is not None
        clock.go_on(seconds)
        if study == "1.2.4":
            queue.failed(job, "no")
        else:
            queue.graded(job, ["archive"])
    return studies


def test_metrics_when_studies_were_graded_then_they_tell_states_seconds_and_alarms(
    queue: Queue, graded: list[str], clock: Clock, tmp_path: Path
) -> None:
    metrics = Metrics(queue, Store(tmp_path / "store", free_bytes=0), alarm_after_s=900)
    deliveries = Deliveries(queue.database, SendSettings(), clock=clock)
    found = numbers(metrics)
    assert [of(found, "stenograde_jobs", state=state) for state in ("graded", "failed", "done")] == [3, 1, 0]
    assert of(found, "stenograde_deliveries", destination="archive", state="waiting") == 3
    name = "stenograde_grading_seconds"
    lengths = ("5.0", "10.0", "30.0", "60.0", "+Inf")
    assert [of(found, f"{name}_bucket", le=le) for le in lengths] == [0, 2, 2, 3, 3]
    assert (of(found, f"{name}_sum"), of(found, f"{name}_count")) == (59, 3)
    kinds = ("destination down", "study failed", "delivery failed", "no room")
    assert [of(found, "stenograde_alarms", kind=kind) for kind in kinds] == [0, 1, 0, 0]
    delivery = deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    deliveries.failed(delivery, "down")
    clock.go_on(901)
    assert of(numbers(metrics), "stenograde_alarms", kind="destination down") == 1
    assert not any(study in metrics.as_text().decode() for study in graded)


def test_metrics_when_the_disk_is_full_then_there_is_an_alarm(queue: Queue, tmp_path: Path) -> None:
    found = numbers(Metrics(queue, Store(tmp_path / "store", free_bytes=1 << 60)))
    assert of(found, "stenograde_alarms", kind="no room") == 1


def test_metrics_when_listed_in_the_documentation_then_these_are_all(queue: Queue, tmp_path: Path) -> None:
    told = Metrics(queue, Store(tmp_path / "store", free_bytes=0)).as_text().decode()
    page = (Path(__file__).resolve().parents[2] / "docs" / "service.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `(stenograde_\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert listed == {
        name: kind
        for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", told, re.MULTILINE)
        if not name.endswith("_created")
    }
