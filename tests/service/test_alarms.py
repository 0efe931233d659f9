"""Alarms: told once when a destination is down for long, once when it is back, whatever was restarted between."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.service.conftest import Clock
from tests.service.outboxes import grade

from stenograde.pacs.alarms import Alarms, overdue
from stenograde.pacs.send import Outbox
from stenograde.pacs.tables import audit


def _alarms(outbox: Outbox, *command: str) -> Alarms:
    return Alarms(outbox.database, 900, command, clock=outbox.deliveries.clock)


def _told(outbox: Outbox) -> list[tuple[str, str, dict[str, int]]]:
    wanted = select(audit).where(audit.c.event.like("destination %")).order_by(audit.c.id)
    with outbox.database.reading() as connection:
        return [(row.event, row.actor, json.loads(row.detail)) for row in connection.execute(wanted)]


def test_a_destination_when_down_for_long_then_it_is_told_once_and_once_when_it_is_back(
    outbox: Outbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    began = clock.now
    grade(outbox, to=("archive", "other"))
    alarms = _alarms(outbox)
    delivery = outbox.deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    assert not overdue(outbox.database)  # the first attempt is under way; the other waits for its first
    outbox.deliveries.failed(delivery, "down")
    assert [(one.destination, one.n_deliveries, one.since) for one in overdue(outbox.database)] == [
        ("archive", 1, began)
    ]
    clock.go_on(899)
    assert not alarms.check()
    clock.go_on(1)
    assert alarms.check() == {"archive"}
    assert alarms.check() == {"archive"}
    assert _alarms(outbox).check() == {"archive"}  # after a restart
    down = ("destination down", "archive", {"n_deliveries": 1, "waited_s": 900})
    assert _told(outbox) == [down]
    assert "destination down" in caplog.text
    delivery = outbox.deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    outbox.deliveries.delivered(delivery)
    assert not alarms.check()
    assert not alarms.check()
    up = ("destination up", "archive", {"n_deliveries": 0, "waited_s": 0})
    assert _told(outbox) == [down, up]
    assert not _alarms(outbox).check()
    assert _told(outbox) == [down, up]


def test_a_delivery_when_given_up_then_its_destination_is_down_until_a_person_acts(
    outbox: Outbox, clock: Clock
) -> None:
    grade(outbox)
    delivery = outbox.deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    outbox.deliveries.failed(delivery, "refused", again=False)
    clock.go_on(900)
    assert _alarms(outbox).check() == {"archive"}


def test_a_command_when_set_then_it_is_run_with_the_event_and_the_name(
    outbox: Outbox, clock: Clock, tmp_path: Path
) -> None:
    grade(outbox)
    delivery = outbox.deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    outbox.deliveries.failed(delivery, "down")
    clock.go_on(900)
    said = tmp_path / "said"
    program = f"import sys; open({str(said)!r}, 'w').write(' '.join(sys.argv[1:]))"
    _alarms(outbox, sys.executable, "-c", program).check()
    assert said.read_text() == "destination down archive"


@pytest.mark.parametrize("command", [("/no/such/command",), (sys.executable, "-c", "raise SystemExit(1)")])
def test_a_command_when_it_fails_then_that_is_logged_and_nothing_else_happens(
    outbox: Outbox, clock: Clock, caplog: pytest.LogCaptureFixture, command: tuple[str, ...]
) -> None:
    grade(outbox)
    delivery = outbox.deliveries.claim("sender-1", ["archive"])
    assert delivery is not None
    outbox.deliveries.failed(delivery, "down")
    clock.go_on(900)
    assert _alarms(outbox, *command).check() == {"archive"}
    assert "alarm command failed" in caplog.text
