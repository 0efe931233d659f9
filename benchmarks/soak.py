"""Sends studies to a real service while its parts are killed, and checks that each is graded and delivered once.

    python benchmarks/soak.py --studies 1000 --database sqlite --seed 1 --work FOLDER
    python benchmarks/soak.py --studies 1000 --database postgresql --seed 1 --work FOLDER
    python benchmarks/soak.py --studies 200 --no-faults --work FOLDER      # studies an hour, memory

``stenograde serve`` with two workers, modalities that send small phantoms by C-STORE and send again what was not
acknowledged, and an archive that writes down what it is given. At random by the seed, workers, receivers, the sender
and the whole service are killed with -9, the archive and the database are (SQLite: the service while it writes), and
the disk that all of it lies on is filled. Needs root for a disk of its own; without, it is not filled, and that is
said. The exit code is 1 when anything was lost, or done twice.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import socket
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.soaking.check import Found, check
from benchmarks.soaking.disk import Disk, small_disk
from benchmarks.soaking.faults import Faults, shown
from benchmarks.soaking.modality import Ledger, in_order, modalities, study_uid, templates
from benchmarks.soaking.postgres import Cluster
from benchmarks.soaking.service import Group, Parts, peer, service
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table
from sqlalchemy import func, select

from stenograde.pacs.database import UNAVAILABLE, Database
from stenograde.pacs.settings import read_settings
from stenograde.pacs.states import JobState
from stenograde.pacs.tables import jobs

_PATIENCE_S = 600.0
"""How long nothing may come of anything before it is taken for lost, s."""

_TEMPLATES = 8
_KIND_MB = {"sr": 0.2, "pdf": 0.8, "sc": 25.0, "seg": 0.2}
_STUDY_MB = 1.6
"""What a study takes on disk with its page, and each kind of its DICOM results."""


@dataclass(frozen=True)
class Plan:
    """What is tried."""

    work: Path
    studies: int = 1000
    database: str = "sqlite"
    seed: int = 1
    faults: bool = True
    every_s: float = 12.0
    """Mean time between two faults."""
    quiet_s: float = 20.0
    longest_s: float = 40.0
    """Longest that something is away: longer than the quiet time of a study."""
    ahead: int = 160
    """Studies that may be sent before their results are back."""
    results: tuple[str, ...] = ("sr", "seg")
    lose: float = 0.02
    """Share of answers of the archive that are lost."""


@dataclass
class Run:
    """A run as it stands."""

    plan: Plan
    disk: Disk
    parts: Parts
    archive: Group
    cluster: Cluster | None
    database: Database
    ledger: Ledger = field(default_factory=Ledger)
    n_done: int = 0
    """How many studies are delivered, as far as was seen."""

    def look(self) -> None:
        """Start again what has ended of itself."""
        self.parts.service.keep()
        self.archive.keep()
        if self.cluster is not None:
            has_room = shutil.disk_usage(self.disk.folder).free > 32 << 20
            self.cluster.keep(has_room=has_room)

    def count(self) -> None:
        """Look how many studies are delivered."""
        done = select(func.count(jobs.c.study_uid.distinct())).where(jobs.c.state == JobState.DONE.value)
        with suppress(*UNAVAILABLE), self.database.reading() as connection:
            self.n_done = connection.execute(done).scalar_one()


def soak(plan: Plan, console: Console) -> dict[str, object]:
    """Run what is planned; return what was found."""
    plan.work.mkdir(parents=True, exist_ok=True)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    per_study = _STUDY_MB + sum(_KIND_MB[kind] for kind in plan.results)
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(plan.work, int(plan.studies * per_study) + 384))
        made = templates(plan.work / "templates", min(_TEMPLATES, plan.studies), plan.seed)
        run = stack.enter_context(_running(plan, disk))
        stop = threading.Event()
        stack.callback(stop.set)
        ahead = in_order(
            made, plan.studies, plan.seed, lambda: len(run.ledger.studies) - run.n_done < plan.ahead, stop
        )
        port = read_settings(plan.work / "serve.toml").dicom.port
        began = time.monotonic()
        senders = modalities(2, port, run.ledger, ahead, stop)
        faults = _faults(plan, run) if plan.faults else None
        laps = _watched(run, faults, console)
        stop.set()
        for thread in senders:
            thread.join(60)
        run.parts.service.stop()
        run.parts.sample(run.n_done)
        wall_s = time.monotonic() - began
        of_template = {study_uid(plan.seed, number): number % len(made) for number in range(plan.studies)}
        settings = read_settings(plan.work / "serve.toml")
        found = check(settings, run.ledger, plan.work / "received.txt", of_template, plan.studies)
        report = _report(plan, run, faults, found, laps, wall_s)
        (plan.work / "soak.json").write_text(json.dumps(report, indent=1))
    return report


@contextmanager
def _running(plan: Plan, disk: Disk) -> Iterator[Run]:
    """Start the database, the archive and the service; end them afterwards."""
    cluster = Cluster(disk.folder / "pg") if plan.database == "postgresql" else None
    dicom_port, http_port, peer_port = _free_ports(3, plan.seed)
    group = service(
        plan.work,
        disk=disk.folder,
        database=cluster.new_url() if cluster is not None else "",
        dicom_port=dicom_port,
        http_port=http_port,
        peer_port=peer_port,
        quiet_s=plan.quiet_s,
        results=json.dumps(plan.results),
    )
    archive = peer(plan.work, peer_port, lose=plan.lose if plan.faults else 0.0, seed=plan.seed)
    try:
        archive.start()
        group.start()
        _wait_until_ready(http_port, group)
        settings = read_settings(plan.work / "serve.toml")
        database = Database(settings.database_url)
        yield Run(plan, disk, Parts(group), archive, cluster, database)
        database.close()
    finally:
        group.stop()
        archive.kill()
        if cluster is not None:
            cluster.stop()


def _faults(plan: Plan, run: Run) -> Faults:
    database = run.cluster or run.disk.folder / "store" / "stenograde.sqlite"
    rng = random.Random(plan.seed)
    return Faults(run.parts, run.archive, database, run.disk, rng, plan.every_s, plan.longest_s)


def _watched(run: Run, faults: Faults | None, console: Console) -> list[tuple[float, int]]:
    """Look after a run until every study is back, or nothing has come for long; return when how many were back."""
    n, laps, sampled = run.plan.studies, [(time.monotonic(), 0)], 0.0
    last = (time.monotonic(), -1)
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console) as progress:
        sent = progress.add_task("sent", total=n, told="")
        back = progress.add_task("back", total=n, told="")
        while run.n_done < n and time.monotonic() - last[0] < _PATIENCE_S:
            run.look()
            n_sent = len(run.ledger.studies)
            if faults is not None and (n_sent < n or not faults.has_done_each):
                faults.tick()
            elif faults is not None:
                faults.end()
            now = time.monotonic()
            if run.n_done + n_sent != last[1]:
                last = (now, run.n_done + n_sent)
            if now - sampled >= 2.0:
                sampled = now
                run.count()
                run.parts.sample(run.n_done)
                laps.append((now, run.n_done))
                progress.update(sent, completed=n_sent)
                progress.update(back, completed=run.n_done, told=shown(faults.done) if faults else "")
            time.sleep(0.1)
        progress.update(back, completed=run.n_done)
    if faults is not None:
        faults.end()
    return [*laps, (last[0], run.n_done)]


def _report(
    plan: Plan, run: Run, faults: Faults | None, found: Found, laps: list[tuple[float, int]], wall_s: float
) -> dict[str, object]:
    first = next(at for at, n in laps if n > 0) if run.n_done else laps[0][0]
    n_at_first = next((n for _, n in laps if n > 0), 0)
    busy_s = max(laps[-1][0] - first, 1e-9)
    cpu = run.parts.cpu_by_part()
    if run.cluster is not None:
        cpu["postgresql"] = run.cluster.cpu_s()
    return {
        "studies": plan.studies,
        "database": plan.database,
        "seed": plan.seed,
        "results": plan.results,
        "disk": run.disk.kind,
        "wall_s": round(wall_s),
        "studies_per_hour": round((laps[-1][1] - n_at_first) / busy_s * 3600),
        "cores": len(os.sched_getaffinity(0)),
        "cpu_s_per_study": {name: round(value / plan.studies, 3) for name, value in sorted(cpu.items())},
        "load": round(sum(cpu.values()) / wall_s, 2),
        "faults_done": dict(faults.done) if faults is not None else {},
        "answers_to_modalities": dict(run.ledger.answers),
        "service_started": run.parts.service.n_starts,
        "service_ended_itself": run.parts.service.n_ended,
        "postgresql_ended_itself": run.cluster.n_ended if run.cluster is not None else 0,
        "events": dict(run.parts.events),
        "found": found.as_json(),
        "memory": _memory(run.parts),
    }


def _memory(parts: Parts) -> dict[str, dict[str, float]]:
    """Return the resident memory of the process of each part that was there for most studies."""
    longest: dict[str, list[tuple[int, float]]] = {}
    for (name, _), samples in parts.resident.items():
        if samples[-1][0] - samples[0][0] >= max(
            (s[-1][0] - s[0][0] for s in [longest.get(name)] if s), default=0
        ):
            longest[name] = samples
    told = {}
    for name, samples in sorted(longest.items()):
        start = samples[0][0] + max((samples[-1][0] - samples[0][0]) // 20, 1)  # (what is loaded once)
        after = [one for one in samples if one[0] >= start]
        quarter = max(len(after) // 4, 1)
        told[name] = {
            "studies": samples[-1][0] - samples[0][0],
            "first_quartile_mb": round(statistics.mean(mb for _, mb in after[:quarter]), 1) if after else 0.0,
            "last_quartile_mb": round(statistics.mean(mb for _, mb in after[-quarter:]), 1) if after else 0.0,
            "largest_mb": round(max(mb for _, mb in samples), 1),
            "mb_per_1000_studies": _slope(after),
        }
    return told


def _slope(samples: list[tuple[int, float]]) -> float:
    if len({n for n, _ in samples}) < 2:
        return 0.0
    return round(statistics.linear_regression(*zip(*samples, strict=True)).slope * 1000, 1)


def show(report: dict[str, object], console: Console) -> bool:
    """Print the tables; return whether nothing was lost or done twice."""
    found = report["found"]
    table = Table(
        title=f"{report['studies']} studies, {report['database']}, seed {report['seed']}", show_header=False
    )
    rows = {
        "disk": report["disk"],
        "sent whole; objects acknowledged": f"{found['studies']}; {found['objects_acknowledged']}",
        "graded once": found["graded_once"],
        "delivered once": found["delivered_once"],
        "objects at the archive; again after a lost answer": f"{found['results_received']}; {found['received_again']}",
        "attempts of studies": found["attempts"],
        "faults": report["faults_done"],
        "answers to modalities": report["answers_to_modalities"],
        "service started; ended of itself": f"{report['service_started']}; {report['service_ended_itself']}",
        "audit lines, chain whole": found["audit_lines"],
        "wall s; studies an hour": f"{report['wall_s']}; {report['studies_per_hour']}",
        "CPU s a study": report["cpu_s_per_study"],
        "unfinished files left": found["left_over"],
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    for kind, which in found["faults"].items():
        table.add_row(f"[red]{kind}", f"{len(which)}: {which[:3]}")
    console.print(table)
    memory = Table(
        "part", "studies", "first quartile, MB", "last quartile, MB", "largest, MB", "MB per 1,000 studies"
    )
    for name, values in report["memory"].items():
        memory.add_row(name, *map(str, values.values()))
    console.print(memory)
    return not found["faults"]


def _free_ports(n: int, seed: int) -> list[int]:
    """Return ports below those that outgoing connections take: they must be free after every restart."""
    rng, found = random.Random(f"{seed} {os.getpid()}"), []
    while len(found) < n:
        port = rng.randrange(15000, 32000)
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _wait_until_ready(port: int, group: Group) -> None:
    deadline = time.monotonic() + 120
    while True:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
            return
        if time.monotonic() > deadline or not group.is_running:
            sys.exit(f"the service must become ready; see {group.log}")
        time.sleep(0.2)


def main() -> int:
    """Read the command line, run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True, help="an empty folder")
    parser.add_argument("--no-faults", action="store_true")
    parser.add_argument("--every", type=float, default=Plan.every_s, help="mean seconds between faults")
    parser.add_argument("--results", default=",".join(Plan.results), help="kinds of DICOM results")
    asked = parser.parse_args()
    if asked.work.exists() and any(asked.work.iterdir()):
        parser.error(f"--work must be an empty folder, got {asked.work}")
    plan = Plan(
        asked.work.resolve(),
        asked.studies,
        asked.database,
        asked.seed,
        faults=not asked.no_faults,
        every_s=asked.every,
        results=tuple(asked.results.split(",")),
    )
    report = soak(plan, Console(stderr=True))
    return 0 if show(report, Console(width=160)) else 1


if __name__ == "__main__":
    sys.exit(main())
