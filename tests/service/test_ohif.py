"""OHIF's viewer beside Orthanc: one site, and what a person sees there of the results of a phantom."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from pydicom import dcmread
from tests.orthancs import Orthanc, free_port, orthanc
from tests.small_phantoms import SMALL

from stenograde import default_bundle, read_study
from stenograde.dicom.write.kinds import ResultKind
from stenograde.grading.study import Grading, grade_into
from stenograde.phantom import write_cohort

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "ohif.py"
VERSION = re.search(r'^VERSION = "(.+)"$', PROGRAM.read_text("utf-8"), re.MULTILINE)[1]  # type: ignore[index]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
FETCHED = (CACHE / "stenograde" / f"ohif-{VERSION}").is_dir()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Drawing without a graphics card."""
_PATIENCE_MS = 300_000.0
"""A guard against hanging, ms."""


@pytest.fixture(scope="module")
def server() -> Iterator[Orthanc]:
    with orthanc(report_port=free_port()) as one:
        yield one


@contextmanager
def site(dicom_web: str, cache: Path) -> Iterator[str]:
    """Give the address of the viewer, which runs as a program of its own."""
    port = free_port()
    command = [sys.executable, str(PROGRAM), "--dicom-web", dicom_web, "--port", str(port)]
    with subprocess.Popen(command, env={"XDG_CACHE_HOME": str(cache)}) as process:
        try:
            deadline = time.monotonic() + _PATIENCE_MS / 1000
            while asked(f"http://127.0.0.1:{port}/") is None:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def asked(url: str, **headers: str) -> httpx.Response | None:
    """Return the answer; None where nobody listens."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        try:
            return client.get(url, headers=headers)
        except httpx.ConnectError:
            return None


def put(server: Orthanc, folder: Path) -> None:
    """Give the server every instance in a folder."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        for path in folder.rglob("*.dcm"):
            url = f"http://127.0.0.1:{server.http_port}/instances"
            client.post(url, content=path.read_bytes()).raise_for_status()


@dataclass(frozen=True)
class Stored:
    """A phantom and its results, in the server."""

    uid: str
    segments: tuple[str, ...]


@pytest.fixture(scope="module")
def stored(server: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("study")
    write_cohort(folder, patients=1, seed=3, protocol=SMALL)
    (images,) = (folder / "train_images").iterdir()
    given = read_study(images)
    kinds = (ResultKind.SR, ResultKind.SEG)
    grade_into(folder / "results", given, Grading(default_bundle(), dicom=kinds), source=images)
    put(server, images)
    put(server, folder / "results")
    masks = dcmread(folder / "results" / "seg.dcm")
    return Stored(given.uid, tuple(segment.SegmentLabel for segment in masks.SegmentSequence))


def test_site_when_asked_then_viewer_and_dicom_web_are_of_one_origin(
    server: Orthanc, stored: Stored, tmp_path: Path
) -> None:
    dist = tmp_path / "stenograde" / f"ohif-{VERSION}"
    dist.mkdir(parents=True)
    (dist / "index.html").write_text("the viewer")
    (dist / "app.js").write_text("")
    with site(server.web, tmp_path) as address:
        page = asked(f"{address}/viewer?StudyInstanceUIDs={stored.uid}")
        assert page is not None
        assert page.text == "the viewer"
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        config = asked(f"{address}/app-config.js")
        assert config is not None
        assert '"wadoRoot": "/dicom-web"' in config.text
        found = asked(
            f"{address}/dicom-web/studies?StudyInstanceUID={stored.uid}", Accept="application/dicom+json"
        )
        assert found is not None
        (row,) = found.json()
        # what the server links to is beside the viewer, too
        assert row["00081190"]["Value"] == [f"{address}/dicom-web/studies/{stored.uid}"]
        for path, code in {"app.js": 200, "missing.js": 404, "dicom-web/studies/1.2.3/metadata": 404}.items():
            answer = asked(f"{address}/{path}")
            assert answer is not None
            assert (path, answer.status_code) == (path, code)
        outside = asked(f"{address}/..%2f..%2f..%2fetc%2fpasswd")
        assert outside is not None
        assert outside.text == "the viewer"
        elsewhere = asked(address, Host="elsewhere.example")
        assert elsewhere is not None
        assert elsewhere.status_code == 400


def test_site_when_the_server_is_down_then_it_says_which(tmp_path: Path) -> None:
    (tmp_path / "stenograde" / f"ohif-{VERSION}").mkdir(parents=True)
    (tmp_path / "stenograde" / f"ohif-{VERSION}" / "index.html").write_text("the viewer")
    url = f"http://127.0.0.1:{free_port()}/dicom-web"
    with site(url, tmp_path) as address:
        answer = asked(f"{address}/dicom-web/studies")
        assert answer is not None
        assert (answer.status_code, answer.text) == (502, f"{url} must answer, got ConnectError")


def test_package_when_it_is_another_then_it_is_refused_and_nothing_unpacked(tmp_path: Path) -> None:
    other = tmp_path / "other.tgz"
    other.write_bytes(b"something else")
    command = [sys.executable, str(PROGRAM), "--fetch", "--package", str(other)]
    done = subprocess.run(
        command, env={"XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"other.tgz must be @ohif/app {VERSION} with SHA-512" in done.stderr
    assert list((tmp_path / "stenograde").iterdir()) == []


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a headless browser that draws by software."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=WEBGL)
        one = browser.new_page(viewport={"width": 1200, "height": 800})
        one.set_default_timeout(_PATIENCE_MS)
        yield one
        browser.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.skipif(not FETCHED, reason="OHIF's viewer was not fetched: python examples/ohif.py --fetch")
def test_ohif_when_a_study_is_opened_then_segments_and_measurements_are_shown(
    server: Orthanc, stored: Stored, page: Page
) -> None:
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on(
        "console",
        lambda message: told.append(message.text) if "Content Security Policy" in message.text else None,
    )
    with site(server.web, CACHE) as address:
        page.goto(address)
        page.get_by_text("Phantom, ").wait_for()
        assert page.evaluate("crossOriginIsolated")
        page.goto(f"{address}/viewer?StudyInstanceUIDs={stored.uid}")
        page.locator("canvas").first.wait_for()
        page.add_locator_handler(page.get_by_text("Skip all"), lambda tour: tour.click())
        page.get_by_text("Confirm and hide").click()

        page.get_by_text("stenograde measurements").first.dblclick()
        page.get_by_text(re.compile(r"Canal AP diameter: \d+\.\d\d mm")).first.wait_for()
        page.get_by_text("stenograde segmentation").first.dblclick()
        page.get_by_text("Yes", exact=True).click()
        page.locator("[data-cy=panelSegmentation-btn]").click()
        page.get_by_text("spinal canal").wait_for()
        shown = page.locator("body").inner_text().splitlines()
        assert {"MR", "SEG", "SR"} <= set(shown)
        assert [line for line in shown if line in stored.segments] == list(stored.segments)
        assert {"L4 vertebra", "L4/L5 disc", "spinal canal"} <= set(stored.segments)
    assert told == []
