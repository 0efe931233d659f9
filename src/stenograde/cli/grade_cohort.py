"""``stenograde grade --cohort``: a manifest in, Parquet tables out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.errors import ConfigError

if TYPE_CHECKING:
    from stenograde.batch.run import CohortOutcome
    from stenograde.terms import Role

Manifest = Annotated[
    Path | None,
    typer.Option(
        "--cohort",
        metavar="CSV",
        help="Grade the studies of a manifest into Parquet tables: one row each, with the column source (folder, zip, "
        "DICOMDIR, URL of object storage, or dicomweb+URL of a server's study) and, if wanted, name and study_uid. "
        "Needs the extra 'batch'.",
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="With --cohort: processes here, or Ray, here or on the cluster of RAY_ADDRESS.",
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers",
        min=0,
        help="Processes that grade several studies; by default, as many as is sensible on these cores.",
    ),
]
ReportsOption = Annotated[
    bool,
    typer.Option("--reports", help="With --cohort: grades.json and report.html of each study as well."),
]


@dataclass(frozen=True)
class CohortOptions:
    """What was asked of a cohort."""

    bundle: Path | None
    roles: Mapping[str, Role] | None
    memory_limit: int
    engine: str
    workers: int
    """0 for as many as there are cores."""
    reports: bool


def grade_cohort(manifest: Path, out: Path, asked: CohortOptions) -> int:
    """Grade a cohort and return the exit code, which is that of many studies."""
    from stenograde.cli.output import needs_extra, print_table
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.workers import n_cores

    with needs_extra("grading a cohort needs", extra="batch"), progress_on_stderr() as progress:
        from stenograde.batch.run import EngineName, engine_named, grade_manifest
        from stenograde.batch.worker import WorkerSettings

        if asked.engine not in tuple(EngineName):
            msg = f"--engine must be one of {', '.join(EngineName)}, got {asked.engine!r}"
            raise ConfigError(msg)
        reports = (out / "reports").resolve() if asked.reports else None
        found = grade_manifest(
            manifest,
            out,
            WorkerSettings(asked.bundle and asked.bundle.resolve(), asked.roles, asked.memory_limit, reports),
            engine=engine_named(EngineName(asked.engine)),
            workers=asked.workers or (n_cores() if asked.engine == EngineName.LOCAL else 0),
            progress=progress,
        )
    print_table(("outcome", "studies"), _rows(found))
    print(f"studies: {out / 'studies'}")
    print(f"cells:   {out / 'cells'}")
    print("research use only: not a medical device")
    return _exit_code(found)


def refuse(given: Mapping[str, object]) -> None:
    """Refuse options that are for single studies.

    Raises
    ------
    ConfigError
        If one of them is given.
    """
    for name, value in given.items():
        if value:
            msg = f"{name} must not be given with --cohort, got both; leave one out"
            raise ConfigError(msg)


def _rows(found: CohortOutcome) -> list[tuple[str, str]]:
    rows = [(name, str(count)) for name, count in found.outcomes.items()]
    return rows + ([("of these, by an earlier run", str(found.earlier))] if found.earlier else [])


def _exit_code(found: CohortOutcome) -> int:
    from stenograde.batch.records import FAULT, GRADED

    if found.outcomes.get(FAULT):
        return 1
    return 0 if found.outcomes and set(found.outcomes) <= {GRADED} else 2
