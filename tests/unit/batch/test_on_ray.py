"""The Ray engine gives the tables of the local one, whatever becomes of a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stenograde.cli import main

pytest.importorskip("ray", reason="the extra 'batch' is not installed")
pytestmark = pytest.mark.slow  # Ray takes ten seconds to start

DYING = """
import json, sys
import ray
import tests.dying_workers
from stenograde.batch.manifest import Entry
from stenograde.batch.on_ray import grade_on_ray
from stenograde.batch.worker import WorkerSettings
from stenograde.errors import StenogradeError
ray.cloudpickle.register_pickle_by_value(tests.dying_workers)
names = sys.argv[1:]
entries = [Entry(row, f"{name}.mark", name) for row, name in enumerate(names)]
records = grade_on_ray(entries, WorkerSettings(), 2, make=tests.dying_workers.DyingWorker)
try:
    print(json.dumps({record["row"]: record["study"]["outcome"] for record in records}))
except StenogradeError as exc:
    print(json.dumps([type(exc).__name__, str(exc)]))
"""


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    repository = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": repository}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def test_a_study_that_ends_its_worker_is_set_aside_and_one_that_did_once_is_not(tmp_path):
    done = run([sys.executable, "-c", DYING, "a", "kills", str(tmp_path / "b"), "c"], tmp_path)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"0": "not graded", "1": "set aside", "2": "not graded", "3": "not graded"}


def test_what_no_study_is_at_fault_for_is_raised_as_what_it_is(tmp_path):
    done = run([sys.executable, "-c", DYING, "a", "stops"], tmp_path)

    assert json.loads(done.stdout.splitlines()[-1]) == [
        "BundleError",
        "a bundle must work, got one that does not",
    ], done.stderr


def test_the_tables_are_those_of_the_local_engine(phantom_study: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"source\n{phantom_study}\nnowhere\n{phantom_study}\n")
    assert main(["grade", "--cohort", str(manifest), "--out", str(tmp_path / "local"), "--workers", "2"]) == 2
    words = ["grade", "--cohort", str(manifest), "--out", str(tmp_path / "ray"), "--workers", "2"]

    done = run([sys.executable, "-m", "stenograde", *words, "--engine", "ray"], tmp_path)

    assert done.returncode == 2, done.stderr
    assert "INFO" not in done.stderr, "Ray's own log is not shown"
    ours, theirs = (pq.read_table(tmp_path / engine / "cells") for engine in ("local", "ray"))
    assert theirs.equals(ours)
    ours, theirs = (
        pq.read_table(tmp_path / engine / "studies").drop(["seconds"]) for engine in ("local", "ray")
    )
    assert theirs.equals(ours)
