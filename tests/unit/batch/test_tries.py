"""How often a study was begun is counted until it is done, by what an actor can be made of in no time."""

from __future__ import annotations

import subprocess
import sys

from stenograde.batch.tries import Tries


def test_a_study_is_counted_until_it_is_done() -> None:
    tries = Tries()
    assert [tries.begin(7), tries.begin(8), tries.begin(7)] == [0, 0, 1]
    tries.done(7)
    assert [tries.begin(7), tries.begin(8)] == [0, 1]


def test_what_counts_imports_no_engine() -> None:
    code = "import sys, stenograde.batch.tries; print({'ray', 'numpy', 'pyarrow'} & sys.modules.keys())"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "set()"
