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
from stenograde.heap import keep_freed_memory

net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3), torch.nn.ReLU(), torch.nn.BatchNorm2d(16), torch.nn.Conv2d(16, 16, 3)
)

def faults_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    net(torch.rand(4, 1, 128, 128)).mean().backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_a_step()
before = max(faults_of_a_step() for _ in range(3))
kept = keep_freed_memory()
# the least of several: a busy machine may take idle pages away between two steps
after = min(faults_of_a_step() for _ in range(8))
print(kept, before, after)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_training_step_costs_hardly_a_page_fault_once_memory_is_kept() -> None:
    pytest.importorskip("torch", reason="needs the extra 'train'")
    # os.environ does not hold what an earlier fit in this process told the C library
    # a fixed threshold: glibc raises its own while a program runs, after which it keeps large blocks now and then
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    shown = subprocess.run(
        [sys.executable, "-c", CODE], check=True, capture_output=True, text=True, env=environment
    ).stdout
    kept, before, after = shown.split()
    assert kept == "True"
    assert int(before) > 1000
    assert int(after) < 0.05 * int(before)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from stenograde.heap import keep_freed_memory

    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda _: pytest.fail("must not be touched"))
    assert keep_freed_memory() is False
