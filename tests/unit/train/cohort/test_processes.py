"""Two processes under torchrun make a bundle's nets together: the first makes what is kept, one net comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

CODE = """
import json, os, sys, time, torch
from dataclasses import replace
from pathlib import Path
import numpy as np
from tests.unit.train.cohort.test_run import TINY, crops
from stenograde.train.cohort.folds import fit_folds
from stenograde.train.loop.processes import is_first, one_by_one
torch.set_num_threads(1)
tiny = replace(TINY, head=replace(TINY.head, batch=2))
out, rank = Path(sys.argv[1]), os.environ["RANK"]
kept = out / "kept"
for visit in range(3):
    with one_by_one("visits"):
        if is_first():
            time.sleep(0.3)
            kept.write_text(str(visit))
        assert int(kept.read_text()) >= visit, "the first has been here, and may be further"
steps = []
folds = fit_folds(crops.__wrapped__(), out / "steps", tiny, weights=None, progress=steps.append)
np.save(out / f"{rank}.npy", folds.logits)
made = sum(step.what == "maps made" for step in steps)
(out / f"{rank}.json").write_text(json.dumps([made, sum(step.loss is not None for step in steps)]))
torch.distributed.destroy_process_group()
"""


def test_two_processes_fit_together_what_the_first_has_made(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CODE, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    paths = (str(Path(__file__).parents[4]), os.environ.get("PYTHONPATH", ""))
    environment = dict(os.environ) | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    ended = subprocess.run(
        [*torchrun, str(tmp_path / "program.py"), str(tmp_path)],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert told == [[14, 8], [0, 0]], "maps of 14 studies; two folds of two steps of two epochs"
    first, second = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first) > 0
    assert len(list((tmp_path / "steps").glob("folds-*/fold-*/said.npz"))) == 2
