"""Mutated requests to the ports of a running service: no crash, no leak, nothing outside the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "port_fuzz.py"


@pytest.mark.parametrize("n_requests", [20, pytest.param(700, marks=pytest.mark.slow)])
def test_mutated_requests_do_no_harm(tmp_path: Path, n_requests: int) -> None:
    words = [sys.executable, str(_SCRIPT), "--requests", str(n_requests), "--minutes", "600", "--seed", "19"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    n_right = 3 * -(-n_requests // 50)
    for answers in (found["dicom"], found["http"]):
        assert sum(n for kind, n in answers.items() if kind.startswith("right")) == n_right
    first, *_, last = found["resident MB, open files, threads"]["receivers"]
    assert last[0] < first[0] + 96, "memory must not grow"
    assert last[1] < first[1] + 96, "open files must not grow"
    assert list(tmp_path.iterdir()) == []
