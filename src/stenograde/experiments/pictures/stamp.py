"""What made a result: versions of the packages, the machine's size, and the commit if there is one."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = (
    "stenograde", "torch", "lightning-fabric", "timm", "monai", "numpy", "scipy", "scikit-learn",
    "opencv-python-headless",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return name and version of what a result depends on, and of the machine that made it."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    found["processors"] = f"{os.cpu_count()} cores"
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name(0)
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit_of(folder: Path) -> str | None:
    """Return the commit that the code in a folder stands at, ``+`` where changed since; None without git."""
    # the program's own folder is asked about, never one that a user names
    found = _git(folder, "rev-parse", "HEAD")
    if found is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{found}+" if changed else found


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  fixed words and our own folder
            ["git", "-C", str(folder), *words],  # noqa: S607  git is where the user's path has it
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
