"""Grade a cohort: manifest, engine and tables joined; stopped at any moment, the same command goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stenograde.batch.local import grade_here
from stenograde.batch.manifest import Entry, hash_of, read_manifest
from stenograde.batch.records import NOT_FETCHED, Record
from stenograde.batch.tables import has_unfetched, is_written, outcomes_in, read_part, write_part
from stenograde.batch.worker import WorkerSettings
from stenograde.files import keep_settings, write_whole
from stenograde.predict.bundle import bundle_at
from stenograde.workers import Progress, Step

PART = 256
"""Studies in a part of the tables."""

_RUN, _UNFINISHED = "run.json", "unfinished.jsonl"

Engine = Callable[[Iterable[Entry], WorkerSettings, int], Iterator[Record]]
"""Gives records of entries, in whatever order, by so many workers."""


class EngineName(StrEnum):
    """What runs the workers."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class CohortOutcome:
    """What became of a cohort."""

    studies: int
    outcomes: dict[str, int]
    """Studies by outcome."""
    earlier: int
    """Studies that an earlier run had done."""


def grade_manifest(
    manifest: Path,
    out: Path,
    settings: WorkerSettings,
    *,
    engine: Engine = grade_here,
    workers: int,
    part: int = PART,
    progress: Progress | None = None,
) -> CohortOutcome:
    """Grade all studies of a manifest into ``out/studies`` and ``out/cells``; each is in them exactly once.

    Started again with the same ``out``, studies that were done are left alone.

    Parameters
    ----------
    manifest, out : Path
    settings : WorkerSettings
    engine : callable
        See :func:`engine_named`.
    workers : int
    part : int
        Studies in a part of the tables, settled with the first run.
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    ConfigError
        If the manifest is none, or ``out`` holds another run: of another manifest, bundle, size of parts or setting.
    StenogradeError, FaultElsewhereError
        What no study is at fault for.
    """
    total = sum(1 for _ in read_manifest(manifest))
    _keep_run(out, manifest, settings, part)
    ledger = _Ledger(out, total, part)
    earlier = ledger.n_done
    for record in engine(ledger.left(read_manifest(manifest)), settings, workers):
        ledger.add(record)
        if progress is not None:
            progress(Step("grading studies", ledger.n_done, total))
    return CohortOutcome(total, outcomes_in(out), earlier)


def engine_named(name: EngineName) -> Engine:
    """Return an engine; Ray is imported only where it is asked for."""
    if name is EngineName.LOCAL:
        return grade_here
    from stenograde.batch.on_ray import grade_on_ray  # noqa: PLC0415 - Ray takes seconds

    return grade_on_ray


def _keep_run(out: Path, manifest: Path, settings: WorkerSettings, part: int) -> None:
    """Say in a file what this run is, or check that the folder holds the same."""
    bundle = bundle_at(settings.bundle)
    asked = {
        "manifest": hash_of(manifest),
        "bundle": bundle.hash,
        "part": part,
        "roles": sorted(f"{key} {role}" for key, role in (settings.roles or {}).items()),
        "memory limit": settings.memory_limit,
        "reports": settings.reports is not None,
    }
    keep_settings(out / _RUN, asked, what="a run")


class _Ledger:
    """Which studies are done: those of parts that are written, and records that wait for their part to be whole."""

    def __init__(self, out: Path, total: int, part: int) -> None:
        self.out, self.total, self.part = out, total, part
        n_parts = -(-total // part)
        self.written = {number for number in range(n_parts) if is_written(out, number)}
        self.open: dict[int, dict[int, Record]] = {}
        for number in sorted(self.written):
            if has_unfetched(out, number):
                self.written.remove(number)
                self.open[number] = {one["row"]: one for one in read_part(out, number)}
        for record in self._earlier():
            if record["row"] // part not in self.written:
                self.open.setdefault(record["row"] // part, {})[record["row"]] = record
        for records in self.open.values():  # what was not fetched is tried again
            for row in [row for row, one in records.items() if one["study"]["outcome"] == NOT_FETCHED]:
                del records[row]
        self._rewrite()
        for number in list(self.open):
            self._close_if_whole(number)

    @property
    def n_done(self) -> int:
        """Studies that are done."""
        # (asked after each study, so not summed over the parts that are written: there may be thousands)
        last = -(-self.total // self.part) - 1
        shortage = self.part - self._size(last) if last in self.written else 0
        return len(self.written) * self.part - shortage + sum(map(len, self.open.values()))

    def left(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Give the entries that are still to be done."""
        for entry in entries:
            number = entry.row // self.part
            if number not in self.written and entry.row not in self.open.get(number, {}):
                yield entry

    def add(self, record: Record) -> None:
        """Keep a record; where it was the last of its part, the part is written."""
        number = record["row"] // self.part
        self.open.setdefault(number, {})[record["row"]] = record
        with (self.out / _UNFINISHED).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        self._close_if_whole(number)

    def _size(self, number: int) -> int:
        return min(self.part, self.total - number * self.part)

    def _close_if_whole(self, number: int) -> None:
        records = self.open[number]
        if len(records) == self._size(number):
            write_part(self.out, number, list(records.values()))
            self.written.add(number)
            del self.open[number]
            self._rewrite()

    def _earlier(self) -> Iterator[Record]:
        """Give what an earlier run left; a last line that was cut short is nothing."""
        file = self.out / _UNFINISHED
        if file.is_file():
            for line in file.read_text(encoding="utf-8").splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    return

    def _rewrite(self) -> None:
        """Keep in the file only what waits."""
        waiting = (record for records in self.open.values() for record in records.values())
        write_whole(self.out / _UNFINISHED, "".join(json.dumps(record) + "\n" for record in waiting))
