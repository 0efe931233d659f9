"""Orthanc of Debian's package on ports of this machine, with DICOMweb."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

DICOM_WEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_HANGING_S = 120.0
"""A guard against hanging, s."""


@dataclass(frozen=True)
class Orthanc:
    """A server that runs; its AE title is ORTHANC."""

    dicom_port: int
    http_port: int

    @property
    def web(self) -> str:
        """URL of its DICOMweb."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def found(self, study_uid: str) -> dict[str, str]:
        """Return Modality by SOPInstanceUID of what QIDO-RS finds under a study."""
        url = f"{self.web}/studies/{study_uid}/instances"
        with httpx.Client(trust_env=False) as client:
            answer = client.get(
                url, params={"includefield": "Modality"}, headers={"Accept": "application/dicom+json"}
            )
        answer.raise_for_status()
        rows: list[Any] = answer.json() if answer.content else []
        return {row["00080018"]["Value"][0]: row["00080060"]["Value"][0] for row in rows}


@contextmanager
def orthanc(*, report_port: int, lua: Path | None = None) -> Iterator[Orthanc]:
    """Give a server that knows us as STENOGRADE at a port; skips where it is not installed."""
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if binary is None or not DICOM_WEB.is_file():
        pytest.skip("Orthanc and its DICOMweb plugin are not installed (Debian: orthanc, orthanc-dicomweb)")
    folder = Path(tempfile.mkdtemp(prefix="orthanc-"))
    server = Orthanc(free_port(), free_port())
    us = {"AET": "STENOGRADE", "Host": "127.0.0.1", "Port": report_port, "AllowStorageCommitment": True}
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "Plugins": [str(DICOM_WEB)],
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "DicomPort": server.dicom_port,
        "HttpPort": server.http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomModalities": {"stenograde": us},
        "LuaScripts": [str(lua)] if lua else [],
        "StableAge": 1,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log) as process,
    ):
        try:
            _wait(server, process, folder / "log")
            yield server
        finally:
            process.terminate()
            process.wait(_HANGING_S)
            shutil.rmtree(folder)


def free_port() -> int:
    """Return a port that nobody listens to."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def _wait(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _HANGING_S
    while True:
        try:
            with (
                socket.create_connection(("127.0.0.1", server.dicom_port)),
                socket.create_connection(("127.0.0.1", server.http_port)),
            ):
                return
        except OSError:
            if time.monotonic() > deadline or process.poll() is not None:
                pytest.fail(f"Orthanc must start:\n{log.read_text(errors='replace')}")
            time.sleep(0.1)
