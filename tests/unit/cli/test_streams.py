"""What is printed: one line for what went wrong, no letters that steer a terminal, no fault of a closed pipe."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stenograde.cli import main
from stenograde.cli.streams import EscapedText, escaped

PROGRAM = "import sys; from stenograde.cli import main; sys.exit(main(sys.argv[1:]))"


def run(words: list[str], *, shell: str = "", **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command whose output a shell leads somewhere."""
    command = ["bash", "-c", f'"$@" {shell}', "x", sys.executable, "-c", PROGRAM, *words]
    ended = subprocess.run(
        command, capture_output=True, check=False, env=os.environ | environment, timeout=120
    )
    return ended.returncode, ended.stdout.decode(), ended.stderr.decode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;pwn\x07", r"a\x1b]0;pwn\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("left\u202eright", r"left\u202eright"),
        ("B\udce4r", r"B\udce4r"),
        ("L4/L5 ü 腰 …\n\tkept", "L4/L5 ü 腰 …\n\tkept"),
    ],
)
def test_text_when_it_would_steer_a_terminal_then_it_is_written_out(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_a_stream_when_it_lacks_a_letter_then_the_letter_is_written_out() -> None:
    below = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print("ä \x1b \udce4", file=EscapedText(below), flush=True)
    assert below.buffer.getvalue() == rb"\xe4 \x1b \udce4" + b"\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["grade"], "Missing option '--out'; see 'stenograde grade --help'"),
        (["grade", "--out", "b"], "or --cohort a manifest, got neither; see 'stenograde grade --help'"),
        (["grade", "a"], "Missing option '--out'; see 'stenograde grade --help'"),
        (["grade", "a", "--out", "b", "--wrong"], "No such option: --wrong; see 'stenograde grade --help'"),
        (["no\x1bsuch"], r"No such command 'no\x1bsuch'; see 'stenograde --help'"),
        (["train"], "see 'stenograde train --help'"),
    ],
)
def test_words_when_they_are_wrong_then_one_line_says_so_and_where_help_is(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("stenograde: ")
    assert told.endswith(f"{line}\n")
    assert told.count("\n") == 1


def test_no_words_when_given_then_one_line_asks_for_a_command_and_help_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "\n  grade " in shown.out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device"), 2, "got 'No space left on device'; make room"),
        (PermissionError(13, "Permission denied", "/DOE_JANE/x"), 2, "got 'Permission denied'"),
        (MemoryError(), 2, "memory must suffice"),
        (OSError("DOE"), 1, "a fault of ours: OSError"),
        (RecursionError(), 1, "a fault of ours: RecursionError"),
    ],
)
def test_what_the_world_did_when_it_reaches_the_top_then_it_is_no_fault_of_ours(
    error: Exception,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("stenograde.dicom.read.studies.read_study", fail)
    assert main(["inspect", str(tmp_path)]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "DOE" not in told
    assert told.count("\n") == 1


def test_output_when_nobody_reads_it_or_it_cannot_be_written_then_it_is_said_or_no_fault() -> None:
    assert run(["--help"], shell="| head -c 1 >/dev/null; exit ${PIPESTATUS[0]}") == (0, "", "")
    assert run(["--version"], shell=">&-")[0] == 0
    code, _, told = run(["--version"], shell=">/dev/full")
    assert code == 2
    assert "No space left on device" in told
    assert "make room" in told
    assert told.count("\n") == 1


def test_out_when_its_disk_is_full_then_it_is_one_line_and_half_a_result_is_not_left(
    tmp_path: Path, phantom_study: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system of its own can only be mounted by root, where it is allowed")
    try:
        code, _, told = run(["grade", str(phantom_study), "--out", str(disk / "out")])
        left = [path for path in disk.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert code == 2
    assert "No space left on device" in told
    assert told.count("\n") == 1
    assert left == []


def test_paths_when_they_are_no_text_then_they_are_shown_all_the_same(tmp_path: Path) -> None:
    code, _, told = run(["inspect", str(tmp_path) + "/stud\udce4\x1b[31m"], PYTHONIOENCODING="ascii")
    assert code == 2
    assert told.startswith("stenograde: study must be a folder, ")
    assert r"/stud\udce4\x1b[31m, which does not exist" in told
