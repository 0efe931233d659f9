"""Freed memory is used again without page faults, in a process of its own so that this one stays as it is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource
import torch
from stenograde.train.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def of_a_large_tensor():
    before = faults()
    torch.empty(2**24).fill_(1.0)
    return faults() - before

of_a_large_tensor()
before = of_a_large_tensor()
kept = keep_freed_memory()
of_a_large_tensor()
print(kept, before, of_a_large_tensor())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_large_tensor_costs_no_page_faults_once_memory_is_kept() -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    # os.environ does not hold what an earlier fit in this process told the C library
    shown = subprocess.run(
        [sys.executable, "-c", CODE], check=True, capture_output=True, text=True, env=dict(os.environ)
    ).stdout
    kept, before, after = shown.split()
    assert kept == "True"
    assert int(before) > 1000
    assert int(after) < 0.05 * int(before)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from stenograde.train.allocator import keep_freed_memory

    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda _: pytest.fail("must not be touched"))
    assert keep_freed_memory() is False
