"""The service: starts its parts, each in a process of its own, starts dead ones again, and keeps the queue moving."""

from __future__ import annotations

import logging
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Final

from stenograde.pacs.database import UNAVAILABLE, migrate
from stenograde.pacs.logs import log_to, told
from stenograde.pacs.opening import Opened, open_queue
from stenograde.pacs.parts import Part, parts_of
from stenograde.pacs.settings import ServeSettings
from stenograde.pacs.store import NoRoomError
from stenograde.workers import end_with

_log = logging.getLogger(__name__)

TICK_S: Final = 1.0
"""How often the parts and the queue are looked after, s."""

GRACE_S: Final = 20.0
"""How long parts may take to end of themselves when the service ends, s."""

_LONGEST_PAUSE_S: Final = 60.0
"""Longest wait before a part that keeps dying is started again, s."""

_LIVED_S: Final = 60.0
"""A part that has lived so long is started again at once, s."""


@dataclass
class _Running:
    """A part and its process."""

    part: Part
    process: SpawnProcess
    reader: Connection
    """Where the process tells that it is at work."""
    name: str
    started: float
    deaths: int = 0
    due: float | None = None
    """When it is to be started again; None while it runs."""
    _has_told: bool = field(default=False, init=False)

    @property
    def is_ready(self) -> bool:
        """Whether its process is at work; starting takes seconds."""
        if not self._has_told and self.reader.poll():
            with suppress(EOFError):  # (it has died)
                self.reader.recv_bytes()
                self._has_told = True
        return self._has_told and self.due is None

    def begin_again(self, process: SpawnProcess, reader: Connection, name: str, now: float) -> None:
        """Take another process for the one that has ended."""
        self.reader.close()
        self.process, self.reader, self.name = process, reader, name
        self.started, self.due, self._has_told = now, None, False


@dataclass
class Supervisor:
    """Keeps parts running; their processes end when this one ends, however it does.

    Parameters
    ----------
    settings : ServeSettings
    parts : sequence of Part
    opened : Opened
    monotonic : callable
        Gives seconds that only grow.
    """

    settings: ServeSettings
    parts: Sequence[Part]
    opened: Opened
    monotonic: Callable[[], float] = time.monotonic
    _running: list[_Running] = field(default_factory=list)
    _heard_since: datetime | None = None
    """Since when senders could reach us without a break."""

    def start(self) -> None:
        """Start every part."""
        self._not_heard()
        for part in self.parts:
            name = _new_name(part)
            self._running.append(_Running(part, *self._process(part, name), name, self.monotonic()))

    def tick(self) -> None:
        """Start again what has died, and move on what is due in the queue."""
        now = self.monotonic()
        for one in self._running:
            if one.due is None and not one.process.is_alive():
                self._bury(one, now)
            if one.due is not None and one.due <= now:
                name = _new_name(one.part)
                one.begin_again(*self._process(one.part, name), name, now)
            if one.part.takes_in and not one.is_ready:
                self._not_heard()
        try:
            self._complete_quiet()
            self._end_stuck()
            self.opened.queue.release_expired()
            self.opened.deliveries.release_expired()
        except UNAVAILABLE as exc:
            self._not_heard()
            _log.warning("no database", extra=told(reason=type(exc).__name__))

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Tell every part to end, and end those that do not; what they were at costs no attempt."""
        for one in self._running:
            one.process.terminate()
        deadline = self.monotonic() + grace_s
        for one in self._running:
            one.process.join(max(deadline - self.monotonic(), 0.0))
            if one.process.is_alive():
                _log.warning("part killed", extra=told(part=one.part.name, worker=one.name))
            one.process.kill()
            one.process.join()
            self._release(one, "the service was stopped", is_counted=False)
            one.reader.close()
        self._running.clear()

    def pids(self) -> dict[str, int | None]:
        """Return the process of each part by its name; None while it waits to be started again."""
        return {one.part.name: None if one.due is not None else one.process.pid for one in self._running}

    def _complete_quiet(self) -> None:
        try:
            self.opened.store.check_room()
        except NoRoomError as exc:  # (what is sent meanwhile is refused)
            self._not_heard()
            _log.warning("no room", extra=told(reason=str(exc.strerror)))
        else:
            self.opened.queue.complete_quiet(self._heard_since)

    def _not_heard(self) -> None:
        """Remember that senders could not reach us until now: no study is quiet because of that."""
        self._heard_since = self.opened.queue.clock()

    def _bury(self, one: _Running, now: float) -> None:
        """Give back what a dead process was at, and say when it is started again."""
        code = one.process.exitcode
        one.deaths = 1 if now - one.started > _LIVED_S else one.deaths + 1
        pause_s = min(2.0 ** (one.deaths - 1) - 1, _LONGEST_PAUSE_S)
        _log.error("part ended", extra=told(part=one.part.name, code=code or 0, again_in_s=pause_s))
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        self._release(one, f"its worker was ended {how}")
        one.due = now + pause_s

    def _release(self, one: _Running, reason: str, *, is_counted: bool = True) -> None:
        try:
            self.opened.queue.release_worker(one.name, reason, is_counted=is_counted)
            self.opened.deliveries.release_worker(one.name, reason)
        except UNAVAILABLE:
            _log.warning("not released", extra=told(worker=one.name))  # (its lease will end)

    def _end_stuck(self) -> None:
        """End workers that were not heard of within their lease: what one is stuck in may hold all its threads."""
        overdue = self.opened.queue.overdue()
        for one in self._running:
            if one.name in overdue and one.due is None:
                _log.error("stuck", extra=told(part=one.part.name, worker=one.name))
                one.process.kill()

    def _process(self, part: Part, name: str) -> tuple[SpawnProcess, Connection]:
        """Start a part; return its process, and where it tells that it is at work."""
        # a fork would copy the locks of threads that it does not copy, and an Event could be left locked by a kill
        context = multiprocessing.get_context("spawn")
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(
            target=_run_part, args=(part, self.settings, name, os.getpid(), writer), name=part.name
        )
        process.start()
        writer.close()
        _log.info("part started", extra=told(part=part.name, worker=name, pid=process.pid or 0))
        return process, reader


def serve(settings: ServeSettings) -> None:
    """Run the service until SIGTERM or SIGINT.

    Raises
    ------
    ConfigError
        If the store cannot be written, or the database not be reached.
    """
    log_to(sys.stderr)
    opened = open_queue(settings)
    migrate(opened.database)
    stop = threading.Event()
    with _signals_set(stop):
        supervisor = Supervisor(settings, parts_of(settings), opened)
        supervisor.start()
        _log.info("service started", extra=told(parts=len(supervisor.parts)))
        try:
            while not stop.wait(TICK_S):
                supervisor.tick()
        finally:
            supervisor.stop()
            opened.database.close()
    _log.info("service stopped")


def _run_part(part: Part, settings: ServeSettings, name: str, parent: int, writer: Connection) -> None:
    """Run a part in its own process."""
    end_with(parent)
    log_to(sys.stderr)
    warnings.simplefilter("ignore", UserWarning)  # (those of pydicom quote headers)
    stop = threading.Event()
    with _signals_set(stop):
        part.run(settings, name, stop, partial(writer.send_bytes, b"at work"))


def _new_name(part: Part) -> str:
    """Return a name for a process that none had before: it is what leases are held by."""
    return f"{part.name}-{secrets.token_hex(4)}"


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and SIGINT set an event while the body runs.

    A thread sets it: to set an event takes a lock, and a handler may have interrupted the very code that holds it, such
    as itself when a signal comes twice (Ctrl-C goes to all processes of a terminal, and the service ends its parts).
    """
    numbers = (signal.SIGTERM, signal.SIGINT)
    heard, told_of = os.pipe()
    os.set_blocking(told_of, False)

    def listen() -> None:
        while number := os.read(heard, 1):
            if number[0] in numbers:
                stop.set()

    listening = threading.Thread(target=listen, name="signals", daemon=True)
    listening.start()
    wakeup = signal.set_wakeup_fd(told_of, warn_on_full_buffer=False)
    before = {number: signal.signal(number, _hear) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(told_of)
        listening.join()
        os.close(heard)


def _hear(_number: int, _frame: FrameType | None) -> None:
    """Let Python write the number of a signal where it is read."""
