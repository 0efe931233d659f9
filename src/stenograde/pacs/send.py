"""Sends results to their destinations, each until all of it is acknowledged.

A delivery may be tried any number of times: what the destination has stored is remembered object by object, and an
object that is sent twice has the same UID and content, so it is there once. A destination that is down costs time, and
only the deliveries to it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from stenograde.errors import ConfigError, DeliveryError, JobError, line_of
from stenograde.pacs.alarms import Alarms
from stenograde.pacs.answers import Peer, Verdict, shown
from stenograde.pacs.commitment import SAME_ASSOCIATION_S, ask
from stenograde.pacs.database import UNAVAILABLE, Database
from stenograde.pacs.deliveries import Deliveries, Delivery
from stenograde.pacs.logs import told
from stenograde.pacs.outgoing import Outgoing, outgoing
from stenograde.pacs.posting import StowPeer
from stenograde.pacs.retention import remove_old
from stenograde.pacs.sent import Sent
from stenograde.pacs.settings import Destination, ServeSettings
from stenograde.pacs.states import DeliveryState, backoff
from stenograde.pacs.store import Store
from stenograde.pacs.storing import ANSWER_S, DicomPeer

_log = logging.getLogger(__name__)

IDLE_S: Final = 1.0
"""How long a sender that finds nothing to do waits before it looks again, s."""

_LONGEST_PAUSE_S: Final = 60.0
"""Longest that a destination which cannot be reached is left alone before the next of its deliveries is tried, s."""

_REFUSALS: Final = 5
"""How often an object may be refused for what it is before its delivery is put aside for a person to look at."""

_CHECK_S: Final = 30.0
"""How often alarms are looked after, s."""

_RETENTION_S: Final = 3600.0
"""How often old studies are looked for, s."""

COMMITMENT_S: Final = 900.0
"""How long a report of storage commitment is waited for before it is asked for again, s."""


class _RefusedError(DeliveryError):
    """A destination refuses objects for what they are; another attempt will do no better."""


class _Awaited(NamedTuple):
    """A delivery that waits for a report of storage commitment."""

    delivery: Delivery
    objects: Sequence[Outgoing]
    until: datetime


@dataclass(frozen=True)
class Outbox:
    """Where results and what became of them are kept."""

    database: Database
    store: Store
    deliveries: Deliveries
    sent: Sent


@dataclass
class Sender:
    """Sends to one destination.

    Parameters
    ----------
    name : str
        That leases are held by.
    to : str
        Name of the destination.
    destination : Destination
    outbox : Outbox
    calling : str
        Our own AE title.
    answer_s : float
        Longest wait for an answer to one object, s.
    commitment_s : float
        See :data:`COMMITMENT_S`.
    same_association_s : float
        How long a report is waited for before the association is given up, s.
    pause_s : float
        How long a destination that cannot be reached is left alone at first, s.
    """

    name: str
    to: str
    destination: Destination
    outbox: Outbox
    calling: str = "STENOGRADE"
    answer_s: float = ANSWER_S
    commitment_s: float = COMMITMENT_S
    same_association_s: float = SAME_ASSOCIATION_S
    pause_s: float = 5.0
    _awaiting: dict[int, _Awaited] = field(default_factory=dict)
    _failures: int = 0
    """How often in a row it was not reached, or did not answer."""

    def work(self, stop: threading.Event) -> None:
        """Send what is due until told to stop; an object that is under way is finished first."""
        while not stop.is_set():
            try:
                was_due = self.send_next(stop)
            except UNAVAILABLE as exc:
                _log.warning("no database", extra=told(worker=self.name, reason=type(exc).__name__))
                was_due = False
            if self._failures:
                pause = backoff(self.pause_s, self._failures).total_seconds()
                stop.wait(min(pause, _LONGEST_PAUSE_S))
            elif not was_due:
                stop.wait(IDLE_S)

    def send_next(self, stop: threading.Event | None = None) -> bool:
        """Make one attempt at what is next; return whether anything was due."""
        self._settle()
        delivery = self.outbox.deliveries.claim(self.name, [self.to])
        if delivery is None:
            return False
        self._attempt(delivery, stop)
        return True

    @property
    def n_awaiting(self) -> int:
        """How many deliveries wait for a report of storage commitment."""
        return len(self._awaiting)

    def _attempt(self, delivery: Delivery, stop: threading.Event | None) -> None:
        deliveries, again = self.outbox.deliveries, True
        try:
            self._send(delivery, stop)
        except JobError as exc:
            _log.warning("lost", extra=told(**_fields(delivery), reason=str(exc)))
            return
        except UNAVAILABLE:
            raise  # (the lease will end)
        except Exception as exc:  # noqa: BLE001  whatever happens to one delivery, the next one is to be sent
            reason, again = line_of(exc)[0], not isinstance(exc, _RefusedError)
        else:
            return
        _log.warning("not delivered", extra=told(**_fields(delivery), reason=reason))
        try:
            deliveries.failed(delivery, reason, again=again)
        except JobError as exc:
            _log.warning("lost", extra=told(**_fields(delivery), reason=str(exc)))

    def _send(self, delivery: Delivery, stop: threading.Event | None) -> None:
        """Send what the destination lacks, and say so when it has everything."""
        folder = self.outbox.store.results(delivery.study_uid, delivery.version)
        objects = outgoing(folder, self.destination.results)
        lacking = self.outbox.sent.lacking(delivery.id, objects)
        if lacking:
            self._store_all(delivery, lacking, stop)
        if not self.destination.commitment or not self.outbox.sent.uncommitted(delivery.id, objects):
            self._delivered(delivery, objects)
            return
        self.outbox.deliveries.renew(delivery)
        uncommitted = self.outbox.sent.uncommitted(delivery.id, objects)
        ask(
            self.destination,
            self.calling,
            delivery.id,
            uncommitted,
            self.outbox.sent,
            answer_s=self.answer_s,
            wait_s=self.same_association_s,
        )
        # (a little longer than it is waited for: the lease must not end first)
        self.outbox.deliveries.renew(delivery, self.commitment_s + 2 * self.answer_s)
        until = self.outbox.deliveries.clock() + timedelta(seconds=self.commitment_s)
        self._awaiting[delivery.id] = _Awaited(delivery, objects, until)
        self._settle()

    def _store_all(
        self, delivery: Delivery, objects: Sequence[Outgoing], stop: threading.Event | None
    ) -> None:
        """Send objects; remember each that was stored.

        Raises
        ------
        DeliveryError
            If one of them was not.
        """
        refused: dict[str, int] = {}
        try:
            with self._peer(objects) as peer:
                for one in objects:
                    _check_not_stopped(stop)
                    refused |= self._store_one(delivery, one, peer)
        except (DeliveryError, ConfigError):
            self._failures += 1
            raise
        self._failures = 0
        if refused:
            msg = f"destination must store every object, got {shown(refused)}"
            raise _RefusedError(msg) if max(refused.values()) >= _REFUSALS else DeliveryError(msg)

    def _store_one(self, delivery: Delivery, one: Outgoing, peer: Peer) -> dict[str, int]:
        """Send an object; return why it was refused, if it was, and how often so far."""
        self.outbox.deliveries.renew(delivery)
        answer = peer.store(one)
        fields = told(**_fields(delivery), sop_uid=one.sop_uid, answer=answer.reason)
        is_fine = answer.verdict is Verdict.STORED
        _log.log(logging.INFO if is_fine else logging.WARNING, answer.verdict.value, extra=fields)
        if answer.verdict is Verdict.LATER:
            msg = f"destination must store {one.kind}, got {answer.reason}, which may pass"
            raise DeliveryError(msg)
        refusals = self.outbox.sent.answered(delivery.id, one, answer)
        return {f"{answer.reason} for {one.kind}": refusals} if refusals else {}

    def _peer(self, objects: Sequence[Outgoing]) -> Peer:
        if self.destination.kind == "stow":
            return StowPeer(self.destination, answer_s=self.answer_s)
        return DicomPeer(self.destination, self.calling, objects, answer_s=self.answer_s)

    def _settle(self) -> None:
        """Look what has become of the deliveries that wait for storage commitment."""
        now, sent = self.outbox.deliveries.clock(), self.outbox.sent
        for key, (delivery, objects, until) in list(self._awaiting.items()):
            reason = ""
            n_failed = len(sent.lacking(key, objects))
            if n_failed:
                reason = f"destination must commit to keep every object, got {n_failed} that it does not have"
            elif sent.uncommitted(key, objects):
                if now < until:
                    continue
                reason = f"destination must commit within {self.commitment_s:g} s, got no report"
            try:
                if reason:
                    _log.warning("not delivered", extra=told(**_fields(delivery), reason=reason))
                    self.outbox.deliveries.failed(delivery, reason)
                else:
                    self._delivered(delivery, objects)
            except JobError as exc:
                _log.warning("lost", extra=told(**_fields(delivery), reason=str(exc)))
            del self._awaiting[key]

    def _delivered(self, delivery: Delivery, objects: Sequence[Outgoing]) -> None:
        how = {"n_objects": len(objects), "committed": int(self.destination.commitment)}
        self.outbox.deliveries.delivered(delivery, **how)
        _log.info("delivered", extra=told(**_fields(delivery), **how))


@dataclass(frozen=True)
class Planned:
    """An object that would be sent."""

    destination: str
    study_uid: str
    version: int
    kind: str
    sop_uid: str
    n_bytes: int


def planned(outbox: Outbox, destinations: Mapping[str, Destination]) -> Iterator[Planned]:
    """Yield what would be sent where, the oldest deliveries first; nothing is sent and nothing is changed."""
    is_open = {DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.FAILED}
    for delivery in reversed(outbox.deliveries.listed()):
        destination = destinations.get(delivery.destination)
        if delivery.state not in is_open or destination is None:
            continue
        objects = outgoing(outbox.store.results(delivery.study_uid, delivery.version), destination.results)
        for one in outbox.sent.lacking(delivery.id, objects):
            yield Planned(
                delivery.destination,
                delivery.study_uid,
                delivery.version,
                one.kind,
                one.sop_uid,
                one.n_bytes,
            )


def senders(settings: ServeSettings, name: str, outbox: Outbox) -> tuple[Sender, ...]:
    """Return a sender for each destination.

    Raises
    ------
    ConfigError
        If a destination cannot be served as it is set.
    """
    calling = settings.dicom.ae_title if settings.dicom else "STENOGRADE"
    for to, destination in settings.destinations.items():
        if destination.kind == "stow" and destination.commitment:
            msg = f"commitment must be false for {to}: DICOMweb has none"
            raise ConfigError(msg)
    return tuple(
        Sender(name, to, destination, outbox, calling) for to, destination in settings.destinations.items()
    )


def open_outbox(settings: ServeSettings) -> Outbox:
    """Open the store and the database of a service, whose tables must have been made."""
    database = Database(settings.database_url)
    store = Store(settings.store, free_bytes=settings.free_mb << 20)
    return Outbox(database, store, Deliveries(database, settings.send), Sent(database))


def run_sender(settings: ServeSettings, name: str, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Send what is due, watch destinations that are down, and remove what is old (a part of the service)."""
    outbox = open_outbox(settings)
    threads = [
        threading.Thread(target=sender.work, args=(stop,), name=f"to {sender.to}", daemon=True)
        for sender in senders(settings, name, outbox)
    ]
    for thread in threads:
        thread.start()
    ready()
    try:
        _look_after(settings, outbox, threads, stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join(ANSWER_S)
        outbox.database.close()


def _look_after(
    settings: ServeSettings, outbox: Outbox, threads: Sequence[threading.Thread], stop: threading.Event
) -> None:
    """Check alarms and remove what is old until told to stop; raise if a thread has died, to be started again."""
    send = settings.send
    alarms = Alarms(outbox.database, send.alarm_after_s, send.alarm_command)
    ticks = 0
    while not stop.is_set():
        try:
            alarms.check()
            if ticks % int(_RETENTION_S / _CHECK_S) == 0:
                remove_old(outbox.database, outbox.store, settings.retention.days)
        except UNAVAILABLE as exc:
            _log.warning("no database", extra=told(reason=type(exc).__name__))
        except OSError as exc:
            _log.error("not removed", extra=told(reason=line_of(exc)[0]))
        ticks += 1
        stop.wait(_CHECK_S)
        if not stop.is_set() and not all(thread.is_alive() for thread in threads):
            msg = "every destination must have its thread, got one that has ended"
            raise RuntimeError(msg)


def _check_not_stopped(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        msg = "delivery must go on after a restart, for the service was stopped"
        raise DeliveryError(msg)


def _fields(delivery: Delivery) -> dict[str, str | int]:
    return {
        "destination": delivery.destination,
        "study_uid": delivery.study_uid,
        "version": delivery.version,
        "job": delivery.job_id,
        "attempt": delivery.attempts,
    }
