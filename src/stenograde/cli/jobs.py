"""``stenograde jobs``: what the service has to do, has done and could not do."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.examples import epilog
from stenograde.cli.output import ConfigFile, needs_extra, print_table

if TYPE_CHECKING:
    from stenograde.pacs.opening import Opened


class StateName(StrEnum):
    """State of a job."""

    RECEIVING = "receiving"
    READY = "ready"
    GRADING = "grading"
    GRADED = "graded"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


JobNumber = Annotated[int, typer.Argument(metavar="JOB", help="Number of the job, as 'jobs list' shows it.")]


def build() -> typer.Typer:
    """Return the group of commands for jobs."""
    app = typer.Typer(rich_markup_mode=None)
    app.command("list", epilog=epilog("jobs list"))(list_jobs)
    app.command("retry", epilog=epilog("jobs retry"))(retry)
    app.command("cancel", epilog=epilog("jobs cancel"))(cancel)
    app.command("complete", epilog=epilog("jobs complete"))(complete)
    app.callback(no_args_is_help=True, epilog=epilog("jobs"))(_group)
    return app


def _group() -> None:
    """List, retry, cancel or complete jobs of the service; a job is one version of one study."""


def list_jobs(
    config: ConfigFile = None,
    state: Annotated[list[StateName] | None, typer.Option("--state", help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most jobs that are shown.")] = 100,
) -> None:
    """List jobs, the newest first, with where their results went and why one waits, failed or was not graded."""
    with _opened(config) as opened:
        from stenograde.pacs.states import JobState

        found = opened.queue.listed(*(JobState(one.value) for one in state or ()), limit=limit)
        rows = []
        for job in found:
            sent = (
                f"{one.destination}: {one.state}" + (f" ({one.reason})" if one.reason else "")
                for one in reversed(opened.deliveries.listed(job.id))
            )
            changed = job.changed_at.isoformat(" ", "seconds")
            number, attempts = str(job.id), str(job.attempts)
            rows.append(
                (
                    number,
                    job.study_uid,
                    str(job.version),
                    job.state.value,
                    attempts,
                    changed,
                    job.reason,
                    ", ".join(sent),
                )
            )
        counts = opened.queue.counts()
    if rows:
        print_table(("job", "study", "version", "state", "attempts", "changed", "reason", "deliveries"), rows)
    print(", ".join(f"{n} {name}" for name, n in counts.items() if n) or "no jobs")


def retry(job: JobNumber, config: ConfigFile = None) -> None:
    """Grade a job again that failed or was cancelled, or send again what could not be delivered."""
    with _opened(config) as opened:
        opened.queue.retry(job, actor=_user())
    print(f"job {job}: will be tried again")


def cancel(
    job: JobNumber,
    config: ConfigFile = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; kept with the job and in the audit log.")
    ] = "cancelled by a person",
) -> None:
    """Cancel a job, and what of its results is not delivered yet."""
    with _opened(config) as opened:
        opened.queue.cancel(job, actor=_user(), reason=reason)
    print(f"job {job}: cancelled")


def complete(
    study: Annotated[str, typer.Argument(metavar="UID", help="StudyInstanceUID.")], config: ConfigFile = None
) -> None:
    """Take a study for complete now, without waiting for the quiet time."""
    with _opened(config) as opened:
        version = opened.queue.complete(study, actor=_user())
    print(f"{study}: version {version} is ready to be graded")


@contextmanager
def _opened(config: Path | None) -> Iterator[Opened]:
    with needs_extra("the service needs", extra="serve"):
        from stenograde.pacs.database import check_migrated
        from stenograde.pacs.opening import open_queue
        from stenograde.pacs.settings import read_settings

    opened = open_queue(read_settings(config))
    try:
        check_migrated(opened.database)
        yield opened
    finally:
        opened.database.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a process of a user that has no name
        return "somebody"
