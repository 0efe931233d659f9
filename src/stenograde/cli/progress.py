"""A progress bar on standard error, so that standard output carries results only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


@contextmanager
def progress_on_stderr(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while the body runs; gives a function that takes how many are done.

    Where standard error is not a terminal nothing is drawn.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


Report = Callable[[str, float, int, float | None], None]
"""Called with (what is fitted, epochs done, epochs in all, mean loss), the loss at the end of each epoch only."""


@contextmanager
def fits_on_stderr() -> Iterator[Report]:
    """Show a bar for each net that is fitted while the body runs; gives a function that takes how far it is.

    Where standard error is not a terminal, one line is printed per epoch instead.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _say_epoch
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("epoch {task.completed:.1f} of {task.total:.0f}, loss {task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: float, epochs: int, loss: float | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=epochs, loss="-")
            bar.update(tasks[what], completed=done)
            if loss is not None:
                bar.update(tasks[what], loss=f"{loss:.4f}")

        yield show


def _say_epoch(what: str, done: float, epochs: int, loss: float | None) -> None:
    if loss is not None:
        print(f"{what}: epoch {done:.0f} of {epochs}, loss {loss:.4f}", file=sys.stderr, flush=True)


Counted = Callable[[str, int, int], None]
"""Called with (what is made, how many are, how many in all)."""


@contextmanager
def counts_on_stderr() -> Iterator[Counted]:
    """Show a bar for each kind of thing that is made while the body runs; gives a function that takes how many are.

    Where standard error is not a terminal, one line is printed for every tenth instead.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _say_tenth
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield show


def _say_tenth(what: str, done: int, total: int) -> None:
    if done == total or done % max(1, total // 10) == 0:
        print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


def console_for_tables() -> Console:
    """Return a console for standard output that does not fold tables where nobody looks at a terminal."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, width=200)
