"""What is said of progress where standard error is no terminal."""

from __future__ import annotations

import pytest

from stenograde.cli.progress import progress_on_stderr
from stenograde.workers import Step


def test_each_epoch_and_every_tenth_of_what_is_counted_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_on_stderr() as progress:
        for done in range(1, 21):
            progress(Step("studies", done, 20))
        for step in (0.5, 1.0, 1.5):
            progress(Step("net", step, 2, "epoch"))
        progress(Step("net", 2, 2, "epoch", 0.25))
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        *(f"studies: {done} of 20" for done in range(2, 21, 2)),
        "net: epoch 2 of 2, loss 0.2500",
    ]
    assert said.out == ""


def test_nothing_is_said_where_no_lines_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_on_stderr(lines=False) as progress:
        progress(Step("studies", 1, 1))
    assert capsys.readouterr().err == ""


def test_bars_count_and_keep_the_last_loss(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress_on_stderr() as progress:
        progress(Step("[net]", 1, 2, "epoch", 0.25))
        progress(Step("[net]", 1.5, 2, "epoch"))
        progress(Step("studies", 3, 4))
    said = capsys.readouterr().err
    assert "[net]" in said
    assert "epoch 1.5 of 2, loss 0.2500" in said
    assert "3 of 4" in said
