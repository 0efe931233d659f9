"""Two processes under torchrun learn together: one net comes out, in both the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.unit.train.loop.test_fit import fit_blobs  # noqa: E402

CODE = """
import os, sys, torch
from dataclasses import replace
from pathlib import Path
from tests.unit.train.loop.test_fit import CONFIG, fit_blobs
torch.set_num_threads(1)
out = Path(sys.argv[1])
fitted = fit_blobs(out / "fit", replace(CONFIG, epochs=2))
torch.save({"net": fitted.net.state_dict(), "losses": [r.validation_loss for r in fitted.history]},
           out / f"{os.environ['RANK']}.pt")
torch.distributed.destroy_process_group()
"""


def test_two_processes_give_the_same_net(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CODE, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[4])}
    ended = subprocess.run(
        [*torchrun, str(tmp_path / "program.py"), str(tmp_path)],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["losses"] == second["losses"]
    assert all(torch.equal(first["net"][name], second["net"][name]) for name in first["net"])
    alone = fit_blobs(tmp_path / "alone").net.state_dict()
    assert not all(torch.equal(first["net"][name], alone[name]) for name in alone)
