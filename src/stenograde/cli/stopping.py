"""Ctrl-C and SIGTERM end a command at once: cleanly where they can, after a moment in any case."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

GRACE_S: Final = 1.2
"""How long a command may take to end of itself, s; foreign code that works meanwhile is not waited for."""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asked this process to end; nothing but the outermost frame handles it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, as shells have it."""
        return 128 + self.number

    @property
    def line(self) -> str:
        """What is said of it."""
        return f"stopped by {signal.Signals(self.number).name}; what was not finished was not written"


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise :class:`Stopped` in the body when a signal asks to end; end the process if that does not end the body.

    Python hears a signal between two of its own steps, and a network or a decoder can keep it from the next for long.

    Raises
    ------
    Stopped
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    heard, told = os.pipe()
    os.set_blocking(told, False)
    wakeup = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    over = threading.Event()
    guard = threading.Thread(target=_end_after_grace, args=(heard, over), daemon=True)
    guard.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(wakeup)
        os.close(told)
        guard.join()
        os.close(heard)
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)  # one is enough, and cleaning up is not to be disturbed
    raise Stopped(number)


def _end_after_grace(heard: int, over: threading.Event) -> None:
    """Wait for a signal, and after it for the end; if that does not come, end this process and its children."""
    number = 0
    while number not in _SIGNALS:
        told = os.read(heard, 1)
        if not told:
            return
        number = told[0]
    if over.wait(GRACE_S):
        return
    for child in multiprocessing.active_children():
        child.kill()
    with suppress(OSError, ValueError):
        print(f"stenograde: {Stopped(number).line}", file=sys.stderr, flush=True)
    os._exit(Stopped(number).exit_code)
