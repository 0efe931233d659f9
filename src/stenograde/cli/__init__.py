"""The command line: parse, call, print; no logic.

Exit codes are 0 when done, 2 when the input or a setting is at fault (one line on standard error says what,
where and what would be right), and 1 for faults of ours only. Each command has its own file and imports what
it needs when it is called, so that ``stenograde --help`` is quick and grading never loads torch.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from stenograde import __version__
from stenograde.cli import (
    classify,
    compare,
    env,
    experiment,
    grade,
    inspect,
    locate,
    phantom,
    prepare,
    pretrain,
    score,
    train,
)
from stenograde.cli.examples import epilog
from stenograde.cli.output import quiet, say_error
from stenograde.errors import StenogradeError, fault_line, one_line

_log = logging.getLogger(__name__)


def _build() -> typer.Typer:
    app = typer.Typer(
        name="stenograde",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(no_args_is_help=True, epilog=epilog(""))(_options)
    app.command("grade", epilog=epilog("grade"))(grade.grade)
    app.command("locate", epilog=epilog("locate"))(locate.locate)
    app.command("score", epilog=epilog("score"))(score.score)
    app.command("inspect", epilog=epilog("inspect"))(inspect.inspect)
    app.command("phantom", epilog=epilog("phantom"))(phantom.phantom)
    app.add_typer(prepare.build(), name="prepare")
    app.command("pretrain", epilog=epilog("pretrain"))(pretrain.pretrain)
    app.add_typer(train.build(), name="train")
    app.add_typer(experiment.build(), name="experiment")
    app.command("classify", epilog=epilog("classify"))(classify.classify)
    app.command("compare", epilog=epilog("compare"))(compare.compare)
    app.command("env", epilog=epilog("env"))(env.env)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; those of the process when not given.

    Returns
    -------
    code : int
        0 done, 2 the input or a setting is at fault, 1 a fault of ours.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with quiet(debug="--debug" in words):
        try:
            get_command(_build()).main(args=words, prog_name="stenograde")
        except SystemExit as exc:
            return exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1
        except StenogradeError as exc:
            _log.debug("refused", exc_info=exc)
            say_error(one_line(exc))
            return 2
        except Exception as exc:  # noqa: BLE001  the outermost frame: whatever is left is a fault of ours
            _log.debug("fault", exc_info=exc)
            say_error(fault_line(exc))
            return 1
    return 0
