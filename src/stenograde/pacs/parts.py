"""What the service consists of: parts that run in processes of their own.

A receiver or a sender becomes a part by a function ``run(settings, name, stop, ready)`` at the top of its module, which
calls ``ready`` once it is at work and works until ``stop`` is set, and by a line in :func:`parts_of`. The function
opens its own database and store with :func:`stenograde.pacs.opening.open_queue`; it may start threads. When its process
ends before it was told to, it is started again, and what was leased under its name is given back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from stenograde.pacs.receive import run_receivers
from stenograde.pacs.send import run_sender
from stenograde.pacs.settings import ServeSettings
from stenograde.pacs.worker import run_worker

Run = Callable[[ServeSettings, str, threading.Event, Callable[[], None]], None]
"""Work of a part: takes the settings, a name that no process had before, an event that tells it to end, and what it
calls once it is at work."""


@dataclass(frozen=True)
class Part:
    """One process of the service."""

    name: str
    run: Run
    """At the top of a module, for it is imported anew in the process."""
    takes_in: bool = False
    """Whether senders are not heard while it is not at work."""


def parts_of(settings: ServeSettings) -> tuple[Part, ...]:
    """Return the parts that settings ask for."""
    takes_in = settings.dicom is not None or settings.http is not None or settings.watch is not None
    receivers = (Part("receivers", run_receivers, takes_in=True),) if takes_in else ()
    workers = (Part(f"worker-{number}", run_worker) for number in range(1, settings.grading.workers + 1))
    return (*receivers, *workers, Part("sender", run_sender))
