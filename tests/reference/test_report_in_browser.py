"""The report opens in a browser without one complaint; the browser enforces the page's own policy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.golden.report.example import example_grades, example_study

from stenograde.report.as_html import as_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--virtual-time-budget=2000", "--enable-logging=stderr", "--dump-dom"),
)


def opened(html: str, folder: Path) -> tuple[str, list[str]]:
    """Open a page; return the document that the browser made of it, and what it wrote to its console."""
    page = folder / "report.html"
    page.write_text(html, "utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1000, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_report_when_opened_then_the_console_stays_empty_and_all_drawings_are_there(tmp_path: Path) -> None:
    document, console = opened(as_html(example_grades(), example_study()), tmp_path)
    assert console == []
    assert document.count("<image ") == 10
    assert document.count('<polyline class="curve"') == 2


def test_report_when_someone_adds_a_request_then_the_page_refuses_it(tmp_path: Path) -> None:
    tampered = as_html(example_grades(), example_study()).replace(
        "</main>", '<img src="https://example.invalid/x.png"><script>document.title = "run"</script></main>'
    )
    document, console = opened(tampered, tmp_path)
    assert len(console) >= 2
    assert all("Content Security Policy" in line for line in console)
    assert "<title>run</title>" not in document
