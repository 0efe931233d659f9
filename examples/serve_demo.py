"""Start Orthanc and the service, send a phantom study as a scanner would, and find the results in Orthanc.

``make serve-demo`` runs it; ``make serve-demo DEMO=--ohif`` shows the study in OHIF's viewer, too. Everything listens
on this machine alone and lies in build/serve-demo.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

WEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
VIEWER = Path(__file__).with_name("ohif.py")
ORTHANC_DICOM, ORTHANC_HTTP, OUR_DICOM, OUR_HTTP, VIEWER_HTTP = 14242, 18042, 11112, 18080, 13000
WEB = f"http://127.0.0.1:{ORTHANC_HTTP}/dicom-web"
EXPECTED = {"SR", "DOC", "OT", "SEG"}
"""Modalities of what comes back: structured report, PDF, key pictures, segmentation."""
PATIENCE_S = 300.0

SERVE = """\
store = "{store}"
free_mb = 256

[dicom]
port = {our_dicom}

[http]
port = {our_http}

[study]
quiet_s = 5

[destinations.orthanc]
kind = "dicom"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {orthanc_dicom}
"""


def main() -> int:
    """Run the demo; the exit code is 0 where all results were found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/serve-demo"))
    parser.add_argument("--once", action="store_true", help="stop everything when the results were found")
    parser.add_argument(
        "--ohif", action="store_true", help="show the study in OHIF's viewer (fetched once: 50 MB)"
    )
    asked = parser.parse_args()
    orthanc = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    # dcmtk's: an environment of Python may hold another program of this name
    storescu = shutil.which(
        "storescu", path=f"/usr/bin{os.pathsep}/usr/local/bin{os.pathsep}/opt/homebrew/bin"
    )
    if orthanc is None or storescu is None or not WEB_PLUGIN.is_file():
        print("serve-demo needs Orthanc with its DICOMweb plugin and dcmtk; on Debian or Ubuntu as root:")
        print("  apt-get install orthanc orthanc-dicomweb dcmtk")
        return 2
    if asked.ohif and subprocess.run([sys.executable, VIEWER, "--fetch"], check=False).returncode:
        return 2
    folder = asked.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "orthanc").mkdir(parents=True)
    stenograde = [sys.executable, "-m", "stenograde"]
    say("simulating a patient")
    run([*stenograde, "phantom", "--patients", "1", "--seed", "12", "--out", str(folder / "phantom")])
    with ExitStack() as running:
        running.enter_context(started([orthanc, str(orthanc_settings(folder))], folder / "orthanc.log"))
        running.enter_context(
            started([*stenograde, "serve", "--config", str(our_settings(folder))], folder / "service.log")
        )
        answered(f"{WEB}/studies", folder / "orthanc.log")
        answered(f"http://127.0.0.1:{OUR_HTTP}/ready", folder / "service.log")
        say("sending the study to the service by storescu, as a scanner would")
        send(storescu, folder, "STENOGRADE", OUR_DICOM)
        say("waiting for the study to be complete, graded and sent to Orthanc")
        study, found = results(folder)
        print(f"found in Orthanc by QIDO-RS under study {study}: {', '.join(sorted(found)) or 'nothing'}")
        if found < EXPECTED:
            print(f"the service's log is {folder / 'service.log'}")
            return 1
        if asked.ohif:
            send(storescu, folder, "ORTHANC", ORTHANC_DICOM)
            show = [sys.executable, str(VIEWER), "--dicom-web", WEB, "--port", str(VIEWER_HTTP)]
            running.enter_context(started(show, folder / "viewer.log"))
            answered(f"http://127.0.0.1:{VIEWER_HTTP}", folder / "viewer.log")
            print(f"look:  http://127.0.0.1:{VIEWER_HTTP}/viewer?StudyInstanceUIDs={study} (OHIF)")
        print(f"look:  http://127.0.0.1:{ORTHANC_HTTP}/app/explorer.html (Orthanc)")
        print(
            f"       http://127.0.0.1:{OUR_HTTP}/jobs and /metrics (the service); its log: {folder / 'service.log'}"
        )
        if not asked.once:
            print("stop:  Ctrl-C")
            wait_for_interrupt()
    return 0


def send(storescu: str, folder: Path, title: str, port: int) -> None:
    """Send the images of the phantom."""
    images = folder / "phantom" / "train_images"
    run([storescu, "+sd", "+r", "-aec", title, "127.0.0.1", str(port), str(images)])


def orthanc_settings(folder: Path) -> Path:
    """Write the settings of Orthanc."""
    path = folder / "orthanc.json"
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "Plugins": [str(WEB_PLUGIN)],
        "DicomAet": "ORTHANC",
        "DicomPort": ORTHANC_DICOM,
        "HttpPort": ORTHANC_HTTP,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return path


def our_settings(folder: Path) -> Path:
    """Write the settings of the service."""
    path = folder / "serve.toml"
    numbers = {"our_dicom": OUR_DICOM, "our_http": OUR_HTTP, "orthanc_dicom": ORTHANC_DICOM}
    path.write_text(SERVE.format(store=folder / "store", **numbers), encoding="utf-8")
    return path


@contextmanager
def started(command: list[str], log: Path) -> Iterator[None]:
    """Run a program beside the body and end it afterwards."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def answered(url: str, log: Path) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fetched(url)
        except OSError:
            if time.monotonic() > deadline:
                sys.exit(f"{url} must answer, got nothing in {PATIENCE_S:.0f} s; see {log}")
            time.sleep(0.5)
        else:
            return


def results(folder: Path) -> tuple[str, set[str]]:
    """Wait for the results; return the study and the modalities that Orthanc has of it."""
    deadline = time.monotonic() + PATIENCE_S
    study, found = "", set[str]()
    while time.monotonic() < deadline and not found >= EXPECTED:
        for row in fetched(f"{WEB}/studies") or []:
            study = row["0020000D"]["Value"][0]
            series = fetched(f"{WEB}/studies/{study}/series") or []
            found = {one["00080060"]["Value"][0] for one in series}
        time.sleep(1.0)
    return study, found


def fetched(url: str) -> list[dict[str, dict[str, list[str]]]] | None:
    """Return the JSON of an answer; None where there is none."""
    request = urllib.request.Request(url, headers={"Accept": "application/dicom+json, */*"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        content = answer.read()
    try:
        return json.loads(content)
    except json.JSONDecodeError:
        return None


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C."""
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


def run(command: list[str]) -> None:
    """Run a program to its end."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def say(words: str) -> None:
    """Tell what comes next."""
    print(f"== {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
