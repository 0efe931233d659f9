"""Mutated requests to the ports: no crash, no leak, nothing outside the store, and right ones are still taken."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "port_fuzz.py"


@pytest.mark.filterwarnings("ignore::UserWarning")  # (pydicom warns of UIDs that are none)
@pytest.mark.parametrize("n_requests", [50, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_requests_do_no_harm(tmp_path: Path, n_requests: int) -> None:
    spec = importlib.util.spec_from_file_location("port_fuzz", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found = script.fuzz(tmp_path, n_requests, seed=19)
    assert found["dicom"]["right"] == n_requests // 50
    opened, left = found["open files"]
    assert left <= opened + 2, "open files must not grow"
    first_mb, last_mb = found["resident MB"]
    assert last_mb < first_mb + 64, "memory must not grow"
