"""The command line: parse, call, print; no logic.

Exit codes are 0 when done, 2 when the input, a setting or the world is at fault (one line on standard error says
what, where and what would be right), 1 for faults of ours only, and 130 or 143 after Ctrl-C or SIGTERM. Each command
has its own file and imports what it needs when it is called, so that ``stenograde --help`` is quick and grading never
loads torch.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated

import typer
from typer.main import get_command

from stenograde import __version__
from stenograde.cli.examples import epilog
from stenograde.cli.output import quiet, say_error
from stenograde.cli.stopping import Stopped, stopped_by_signals
from stenograde.cli.streams import escaped_streams, give_up_output
from stenograde.errors import line_of
from stenograde.heap import OBJECTS_UNTIL_SEARCH

_log = logging.getLogger(__name__)

_UsageError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
"""Words of a command that are wrong; the class is click's, or that of typer's own copy of it."""

_FIT = (["train"], ["experiment"], ["pretrain"], ["evaluate"])
"""Commands that fit something to large matrices."""

_PIPE_CLOSED = -1
"""In place of an exit code: who reads our output reads no more."""


_HOMES = {"ingest": "cohort", "crops": "cohort"}
"""Modules of commands that are not named like theirs."""

_GROUPS = {"audit", "jobs", "prepare", "train", "experiment"}
"""Commands that have commands of their own."""

_COMMANDS = (
    "grade",
    "sign",
    "explain",
    "locate",
    "score",
    "evaluate",
    "submit",
    "audit",
    "serve",
    "jobs",
    "inspect",
    "phantom",
    "prepare",
    "ingest",
    "crops",
    "pretrain",
    "train",
    "experiment",
    "classify",
    "compare",
    "ensemble",
    "deidentify",
    "env",
)
"""All commands, in the order of the help."""


def _build(words: Sequence[str] = ()) -> typer.Typer:
    """Return the program with the command that some words name; with all where they name none."""
    app = typer.Typer(
        name="stenograde",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(no_args_is_help=True, epilog=epilog(""))(_options)
    named = next((word for word in words if not word.startswith("-")), None)
    for name in (named,) if named in _COMMANDS else _COMMANDS:
        module = import_module(f"{__name__}.{_HOMES.get(name, name)}")
        if name in _GROUPS:
            app.add_typer(module.build(), name=name)
        else:
            app.command(name, epilog=epilog(name))(getattr(module, name))
    return app


def _show_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and stop."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log to standard error, with traces.")] = False,
) -> None:
    """Grade spinal stenosis on lumbar MRI studies. Research software: not a medical device."""
    # both have done their work by now: --version when it was parsed, --debug in main()
    del version, debug


_SWITCH_S = 0.0005
"""A thread that comes back from NumPy or ONNX Runtime waits so long for one that runs Python, s; with the usual 0.005
it waits as long as most of these calls take, and grading a study takes a twentieth longer."""

COMPLETION = "_STENOGRADE_COMPLETE"
"""Variable in which a shell asks how a command line could go on (click, shell completion)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; those of the process when not given.

    Returns
    -------
    code : int
        0 done, 2 the input, a setting or the world is at fault, 1 a fault of ours; 130 and 143 for a command that was
        stopped by Ctrl-C or SIGTERM.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        atexit.register(gc.freeze)  # what is left goes with the process; a last search of it takes 0.15 s
    if words[:1] not in _FIT and "numpy" not in sys.modules:
        # read when numpy is loaded; slices and studies go through several threads, so that matrices need not
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with _python_set(), escaped_streams(), quiet(debug="--debug" in words):
        try:
            with stopped_by_signals():
                code = _run(words)
        except Stopped as exc:
            say_error(exc.line)
            code = exc.exit_code
        return _with_all_printed(code)


@contextmanager
def _python_set() -> Iterator[None]:
    """Set how often Python looks for cycles and changes threads, while a command runs."""
    usual, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(OBJECTS_UNTIL_SEARCH, *usual[1:])
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        sys.setswitchinterval(interval)


def _empty_word(words: Sequence[str]) -> int:
    """Return the number of the first empty word, or option without a value behind its sign; 0 without any.

    An empty path would stand for the folder that the command was called in.
    """
    for number, word in enumerate(words, start=1):
        if not word or (word.startswith("--") and word.endswith("=")):
            return number
    return 0


def _run(words: list[str]) -> int:
    """Run one command; say what went wrong on one line."""
    if not words and COMPLETION not in os.environ:
        words = ["--help"]
        say_error("a command must be given, got none; see below, or 'stenograde COMMAND --help'")
        get_command(_build()).main(args=words, prog_name="stenograde", standalone_mode=False)
        return 2
    empty = _empty_word(words)
    if empty:
        say_error(f"no word of a command must be empty, got an empty one as number {empty}; leave it out")
        return 2
    try:
        code = get_command(_build(words)).main(args=words, prog_name="stenograde", standalone_mode=False)
    except _UsageError as exc:
        _say_usage(exc)
        return 2
    except SystemExit as exc:
        if isinstance(exc.__context__, BrokenPipeError):
            return _PIPE_CLOSED
        return exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
    except BrokenPipeError:
        return _PIPE_CLOSED
    except Exception as exc:  # noqa: BLE001  the outermost frame: whatever is left is a fault of ours, or of the world
        _log.debug("refused, or a fault", exc_info=exc)
        line, is_our_fault = line_of(exc)
        say_error(line)
        return 1 if is_our_fault else 2
    return code if isinstance(code, int) else 0


def _say_usage(error: Exception) -> None:
    """Say what is wrong with the words of a command, and which help tells what would be right."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "stenograde"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    say_error(f"{' '.join(message.split()).rstrip('.') or 'options are missing'}; see '{command} --help'")


def _with_all_printed(code: int) -> int:
    """Return the exit code, after what was printed has reached standard output."""
    if code == _PIPE_CLOSED:
        give_up_output()
        return 0
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        give_up_output()  # who reads us has read enough
    except (OSError, ValueError) as exc:
        give_up_output()
        say_error(f"standard output must be writable, got {getattr(exc, 'strerror', None) or exc}; make room")
        return code or 2
    return code
