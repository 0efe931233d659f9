"""The report opens in a browser without one complaint, fits screens and paper, and turns its slices.

The browser enforces the page's own policy.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.golden.report.example import example_grades, example_study

from stenograde.grades import Probabilities, Status, StudyGrades
from stenograde.report.as_html import as_html
from stenograde.terms import LUMBAR_MRI, Severity

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--virtual-time-budget=2000", "--enable-logging=stderr", "--dump-dom"),
)


def opened(html: str, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """Open a page; return the document that the browser made of it, and what it wrote to its console."""
    page = folder / "report.html"
    page.write_text(html, "utf-8")
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", page.as_uri()]
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


def drafted() -> StudyGrades:
    """The example with all foramina and subarticular zones as drafts."""
    grades = example_grades()
    shares = Probabilities((0.05, 0.55, 0.4))
    cells = tuple(
        dataclasses.replace(one, status=Status.DRAFT, probabilities=shares) if one.cell.side else one
        for one in grades.cells
    )
    return dataclasses.replace(grades, cells=cells)


def told_by(html: str, script: str, folder: Path, width: int, height: int) -> Any:
    """Return what a script finds in the page, opened in a frame of that size without its policy."""
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
    told = f"<script>document.title = JSON.stringify((() => {{ {script} }})())</script></body>"
    (folder / "framed.html").write_text(policy.sub("", html).replace("</body>", told), "utf-8")
    frame = (
        f'<iframe src="framed.html" style="width:{width}px;height:{height}px;border:0"></iframe><script>'
        "addEventListener('load', () => { document.title = document.querySelector('iframe').contentDocument.title; })"
        "</script>"
    )
    document, _ = opened(frame, folder, "--allow-file-access-from-files", f"--window-size={width},{height}")
    found = re.search("<title>(.*?)</title>", document)
    assert found
    return json.loads(found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))


OVERHANGING = """
const scrolls = (one) => one.closest(".scroll") && getComputedStyle(one.closest(".scroll")).overflowX === "auto";
const edge = document.documentElement.clientWidth + 1;
return [...document.querySelectorAll("td, th, .severity, p, pre, svg, figure")]
  .filter((one) => one.getBoundingClientRect().width && !scrolls(one))
  .filter((one) => one.getBoundingClientRect().right > edge)
  .map((one) => one.textContent.slice(0, 40));
"""


@pytest.mark.parametrize("width", [390, 620, 960, 1280, 1920, 3840])
def test_report_when_shown_at_any_width_then_nothing_hangs_over_the_edge(tmp_path: Path, width: int) -> None:
    known = dict.fromkeys(LUMBAR_MRI.cells, Severity.SEVERE)
    html = as_html(drafted(), example_study(), reference=known, open_drafts=True)
    assert told_by(html, OVERHANGING, tmp_path, width, 900) == []


@pytest.mark.parametrize("width_mm", [186, 191.9])
def test_report_when_printed_on_a4_or_letter_then_no_column_is_cut(tmp_path: Path, width_mm: float) -> None:
    """The page laid out by its rules for print in the width that the margins leave."""
    known = dict.fromkeys(LUMBAR_MRI.cells, Severity.NORMAL_MILD)
    html = as_html(drafted(), example_study(), reference=known, open_drafts=True)
    printed = html.replace("@media print", "@media all")
    assert told_by(printed, OVERHANGING, tmp_path, round(width_mm / 25.4 * 96), 1000) == []
    script = (
        "return [...document.querySelectorAll('.scroll')].map((one) => one.scrollWidth - one.clientWidth)"
    )
    assert max(told_by(printed, script, tmp_path, round(width_mm / 25.4 * 96), 1000)) <= 1


def test_report_when_printed_then_no_page_is_empty(tmp_path: Path) -> None:
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(as_html(drafted(), example_study()), "utf-8")
    flags = [one for one in FLAGS if one != "--dump-dom"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [
        str(CHROMIUM),
        *flags,
        profile,
        "--no-pdf-header-footer",
        f"--print-to-pdf={paper}",
        page.as_uri(),
    ]
    subprocess.run(command, capture_output=True, timeout=1000, check=True)
    pages = re.findall(rb"/Type\s*/Page\b", paper.read_bytes())
    # the overview, two or three levels a page, tables
    assert 3 <= len(pages) <= 6


def test_report_when_opened_at_1280_by_800_then_the_spine_is_above_the_fold(tmp_path: Path) -> None:
    script = "const b = document.querySelector('.spine .picture').getBoundingClientRect(); return [b.top, b.bottom]"
    top, bottom = told_by(as_html(example_grades(), example_study()), script, tmp_path, 1280, 800)
    assert 0 < top < bottom <= 800


def test_report_when_shown_very_wide_then_the_width_is_used(tmp_path: Path) -> None:
    script = """return [...document.querySelectorAll(".card")]
        .filter((one, _, all) => one.getBoundingClientRect().top === all[0].getBoundingClientRect().top)
        .map((one) => one.getBoundingClientRect().right)"""
    rights = told_by(as_html(example_grades(), example_study()), script, tmp_path, 3840, 2000)
    assert len(rights) >= 3
    assert max(rights) > 0.9 * 3840


def test_report_when_arrow_keys_are_pressed_then_the_neighbouring_slices_are_shown(tmp_path: Path) -> None:
    script = """const picture = document.querySelector(".card svg.stack");
        const image = picture.querySelector("image");
        const seen = () => [image.getAttribute("href").slice(-40), picture.classList.contains("away"),
          picture.querySelector(".place").textContent];
        const press = (key) => picture.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
        const told = [seen()];
        for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft"]) { press(key); told.push(seen()); }
        picture.dispatchEvent(new Event("pointerleave")); told.push(seen());
        return told;"""
    told = told_by(as_html(example_grades(), example_study()), script, tmp_path, 1280, 800)
    home, right, end, back, left = told
    assert (home[1], right[1], right[2]) == (False, True, "slice 4 of 5")
    assert right[0] != home[0]
    assert end == right, "there is one slice to each side"
    assert back[:2] == home[:2] == left[:2]


def test_report_when_the_pointer_moves_across_a_picture_then_the_neighbouring_slices_are_shown(
    tmp_path: Path,
) -> None:
    script = """const picture = document.querySelector(".card svg.stack"), box = picture.getBoundingClientRect();
        const image = picture.querySelector("image"), told = [];
        for (const share of [0.1, 0.5, 0.9]) {
          const at = { clientX: box.left + share * box.width, clientY: box.top + box.height / 2 };
          const place = { ...at, pointerType: "mouse" };
          picture.dispatchEvent(new PointerEvent("pointermove", place));
          told.push([image.getAttribute("href").slice(-40), picture.querySelector(".place").textContent]);
        }
        return told;"""
    told = told_by(as_html(example_grades(), example_study()), script, tmp_path, 1280, 800)
    assert [one[1] for one in told][::2] == ["slice 2 of 5", "slice 4 of 5"]
    assert told[0][0] != told[1][0] != told[2][0]  # (the example is the same on both sides)


def test_report_when_the_reader_prefers_dark_then_it_is_dark(tmp_path: Path) -> None:
    html = as_html(example_grades(), example_study()).replace("prefers-color-scheme: dark", "min-width: 1px")
    script = """const lights = (what) => what.match(/[0-9.]+/g).slice(0, 3).map(Number);
        return ["backgroundColor", "color"].map((one) => Math.max(...lights(getComputedStyle(document.body)[one])));"""
    background, text = told_by(html, script, tmp_path, 1280, 800)
    assert background < 60
    assert text > 180
