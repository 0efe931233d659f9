"""Progress bars on standard error, so that standard output carries results only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stenograde.cli.streams import escaped
from stenograde.workers import Progress, Step

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def progress_on_stderr(*, lines: bool = True) -> Iterator[Progress]:
    """Show a bar for each thing that is made or fitted while the body runs; gives a function that takes the steps.

    Parameters
    ----------
    lines : bool
        Where standard error is not a terminal, print a line per epoch and per tenth of what is counted. If false,
        print nothing there, and leave no bar on a terminal.
    """
    if sys.stderr is None or not (sys.stderr.isatty() or "FORCE_COLOR" in os.environ):
        yield _say if lines else lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _say if lines else lambda step: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[told]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=not lines) as bars:
        tasks: dict[str, TaskID] = {}
        losses: dict[str, float] = {}

        def show(step: Step) -> None:
            if step.loss is not None:
                losses[step.what] = step.loss
            if step.what not in tasks:
                tasks[step.what] = bars.add_task(escaped(step.what), total=step.total, told="")
            told = _told(step, losses.get(step.what), digits=1)
            bars.update(tasks[step.what], completed=step.done, told=told)

        yield show


@contextmanager
def under_way(progress: Progress, what: str) -> Iterator[None]:
    """Show one piece of work while the body does it."""
    progress(Step(what, 0, 1))
    yield
    progress(Step(what, 1, 1))


def _say(step: Step) -> None:
    is_tenth = step.done == step.total or step.done % max(1, step.total // 10) == 0
    if step.loss is not None if step.unit else is_tenth:
        print(f"{step.what}: {_told(step, step.loss)}", file=sys.stderr, flush=True)


def _told(step: Step, loss: float | None, digits: int = 0) -> str:
    if not step.unit:
        return f"{step.done:.0f} of {step.total}"
    shown = "-" if loss is None else f"{loss:.4f}"
    return f"{step.unit} {step.done:.{digits}f} of {step.total}, loss {shown}"
