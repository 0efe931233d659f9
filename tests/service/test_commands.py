"""``stenograde jobs`` and ``stenograde audit verify`` on a real database."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest
from sqlalchemy import select, update

from stenograde.cli import main
from stenograde.pacs.database import migrate
from stenograde.pacs.opening import Opened, open_queue
from stenograde.pacs.settings import read_settings
from stenograde.pacs.tables import audit


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    """Settings of a service on a database of each kind."""
    path = tmp_path / "serve.toml"
    text = f'store = "{tmp_path / "store"}"\ndatabase = "{url}"\nfree_mb = 0\n[grading]\nattempts = 1\n'
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def opened(config: Path) -> Opened:
    one = open_queue(read_settings(config))
    migrate(one.database)
    yield one
    one.database.close()


def asked(*words: str, config: Path) -> int:
    return main([*words, "--config", str(config)])


def test_jobs_when_listed_retried_cancelled_and_completed_then_the_queue_changes_and_the_log_tells(
    opened: Opened, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("jobs", "list", config=config) == 0
    assert capsys.readouterr().out == "no jobs\n"
    for study in ("1.2.1", "1.2.2"):
        with opened.database.writing() as connection:
            opened.queue.touch(connection, study)
    assert asked("jobs", "complete", "1.2.1", config=config) == 0
    assert capsys.readouterr().out == "1.2.1: version 1 is ready to be graded\n"
    job = opened.queue.claim("worker")
    assert job is not None
    opened.queue.failed(job, "a decoder crashed")
    assert asked("jobs", "list", "--state", "failed", config=config) == 0
    shown = capsys.readouterr().out
    assert "1.2.1" in shown
    assert "a decoder crashed" in shown
    assert "1.2.2" not in shown
    assert shown.endswith("1 receiving, 1 failed\n")
    assert asked("jobs", "retry", "1", config=config) == 0
    assert asked("jobs", "cancel", "2", "--reason", "wrong study", config=config) == 0
    capsys.readouterr()
    assert [job.state for job in opened.queue.listed()] == ["cancelled", "ready"]
    with opened.database.reading() as connection:
        lines = connection.execute(select(audit.c.event, audit.c.actor).order_by(audit.c.id)).all()
    user = getpass.getuser()
    assert lines == [("complete", user), ("failed", "worker"), ("retried", user), ("cancelled", user)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("retry", "1"),
            "job 1 must have failed or been cancelled to be tried again, got one that is receiving",
        ),
        (("retry", "9"), "job must be one that there is, got 9"),
        (("complete", "1.9"), "study must be one that images come of, got 1.9, which is not known"),
    ],
)
def test_jobs_when_asked_for_what_cannot_be_then_it_is_refused(
    opened: Opened, config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    with opened.database.writing() as connection:
        opened.queue.touch(connection, "1.2.1")
    assert asked("jobs", *words, config=config) == 2
    assert said in capsys.readouterr().err
    assert [job.state for job in opened.queue.listed()] == ["receiving"]


def test_the_log_when_verified_then_its_last_hash_is_told_or_the_line_that_is_broken(
    opened: Opened, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened.database.writing() as connection:
        opened.queue.touch(connection, "1.2.1")
    opened.queue.complete("1.2.1")
    with opened.database.reading() as connection:
        last = connection.execute(select(audit.c.hash)).scalar_one()
    assert asked("audit", "verify", config=config) == 0
    assert capsys.readouterr().out == (
        f"audit log: 1 lines, each as it was written; hash of the last: {last}\n"
    )
    with opened.database.writing() as connection:
        connection.execute(update(audit).values(actor="nobody"))
    assert asked("audit", "verify", config=config) == 2
    assert "got line 1, which does not" in capsys.readouterr().err


def test_a_database_when_without_tables_then_commands_say_what_makes_them(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("jobs", "list"), ("audit", "verify")):
        assert asked(*words, config=config) == 2
        assert "run 'stenograde serve'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--labels", "b", "--out", "c", "a"], ["labels", "a", "--labels", "b", "--out", "c"]],
)
def test_audit_when_its_first_word_is_no_command_then_it_audits_labels(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *words]) == 2
    assert "must be a readable CSV file, got b" in capsys.readouterr().err
