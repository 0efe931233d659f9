"""Retention: only what is done with and old is removed, and a study that is sent again begins anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.service.conftest import Clock
from tests.service.outboxes import STUDY, grade, make_outbox

from stenograde.pacs import audit_log
from stenograde.pacs.database import Database
from stenograde.pacs.queue import Queue
from stenograde.pacs.retention import remove_old
from stenograde.pacs.send import Outbox
from stenograde.pacs.tables import audit, instances

DAY_S = 86400


@pytest.fixture
def stocked(database: Database, tmp_path: Path, clock: Clock) -> Outbox:
    """A graded study with an image of it, on both databases."""
    outbox = make_outbox(database, tmp_path, clock)
    _image(outbox, clock)
    grade(outbox)
    return outbox


def _image(outbox: Outbox, clock: Clock, name: str = "one") -> Path:
    path = Path("images", "study", f"{name}.dcm")
    file = outbox.store.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"an image")
    os.utime(file, (clock.now.timestamp(), clock.now.timestamp()))
    with outbox.database.writing() as connection:
        connection.execute(
            insert(instances).values(
                study_uid=STUDY,
                series_uid="1.2",
                sop_uid=f"1.2.{name}",
                sop_class="1.2",
                is_mr=True,
                version=1,
                sha256=name,
                n_bytes=8,
                path=path.as_posix(),
                received_at=clock.now,
                via="dicom",
                sender="SCANNER",
            )
        )
    return file


def _delivered(outbox: Outbox) -> None:
    delivery = outbox.deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    outbox.deliveries.delivered(delivery)


def _removed(outbox: Outbox, clock: Clock, days: int = 30) -> int:
    return remove_old(outbox.database, outbox.store, days, clock=clock)


def test_a_study_when_done_and_old_then_its_files_go_and_its_story_stays(
    stocked: Outbox, clock: Clock
) -> None:
    _delivered(stocked)
    clock.go_on(30 * DAY_S)
    assert _removed(stocked, clock) == 0  # not older yet
    clock.go_on(1)
    assert _removed(stocked, clock, days=0) == 0
    assert _removed(stocked, clock) == 1
    assert [path for path in stocked.store.root.rglob("*") if path.is_file()] == []
    assert not stocked.store.results(STUDY, 1).parent.exists()
    with stocked.database.reading() as connection:
        assert connection.execute(select(instances.c.id)).first() is None
        last = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).one()
    assert (last.event, last.study_uid, last.detail) == ("removed", STUDY, '{"n_instances":1}')
    assert audit_log.verify(stocked.database).broken is None
    assert [job.study_uid for job in Queue(stocked.database).listed()] == [STUDY]
    assert _removed(stocked, clock) == 0
    assert grade(stocked).version == 2  # sent again, it is a new version


def _waits(_outbox: Outbox) -> None:
    """The delivery waits."""


def _gave_up(outbox: Outbox) -> None:
    delivery = outbox.deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    outbox.deliveries.failed(delivery, "refused", again=False)


def _came_again(outbox: Outbox) -> None:
    _delivered(outbox)
    with outbox.database.writing() as connection:
        Queue(outbox.database, clock=outbox.deliveries.clock).touch(connection, STUDY)


@pytest.mark.parametrize("state", [_waits, _gave_up, _came_again])
def test_a_study_when_anything_of_it_is_open_then_it_stays_however_old(
    stocked: Outbox, clock: Clock, state: Callable[[Outbox], None]
) -> None:
    state(stocked)
    clock.go_on(1000 * DAY_S)
    assert _removed(stocked, clock) == 0
    assert (stocked.store.results(STUDY, 1) / "sr.dcm").exists()


def test_a_study_when_cancelled_then_it_goes_in_its_time(stocked: Outbox, clock: Clock) -> None:
    job = Queue(stocked.database).listed()[0]
    Queue(stocked.database, clock=clock).cancel(job.id, actor="a person")
    clock.go_on(31 * DAY_S)
    assert _removed(stocked, clock) == 1


def test_a_study_when_an_object_of_it_is_just_coming_again_then_it_stays(
    stocked: Outbox, clock: Clock
) -> None:
    _delivered(stocked)
    clock.go_on(31 * DAY_S)
    file = stocked.store.root / "images" / "study" / "one.dcm"
    os.utime(
        file, (clock.now.timestamp(), clock.now.timestamp())
    )  # placed, and its row is not looked for yet
    assert _removed(stocked, clock) == 0
    assert file.exists()


def test_a_study_when_an_image_came_late_then_its_age_counts_from_there(
    stocked: Outbox, clock: Clock
) -> None:
    _delivered(stocked)
    clock.go_on(20 * DAY_S)
    _image(stocked, clock, "two")
    clock.go_on(20 * DAY_S)
    assert _removed(stocked, clock) == 0
    clock.go_on(11 * DAY_S)
    assert _removed(stocked, clock) == 1


def test_an_image_when_it_was_never_accepted_then_it_goes_after_the_same_time(
    stocked: Outbox, clock: Clock
) -> None:
    kept = _image(stocked, clock, "kept")
    forgotten = kept.with_name("forgotten.dcm")
    alone = kept.parents[1] / "other" / "alone.dcm"
    alone.parent.mkdir()
    for path in (forgotten, alone):
        path.write_bytes(b"an image")
        os.utime(path, (clock.now.timestamp(), clock.now.timestamp()))
    clock.go_on(30 * DAY_S)
    _removed(stocked, clock)
    assert forgotten.exists()
    clock.go_on(1)
    _removed(stocked, clock, days=0)
    assert forgotten.exists()
    _removed(stocked, clock)
    assert (kept.exists(), forgotten.exists(), alone.parent.exists()) == (True, False, False)
