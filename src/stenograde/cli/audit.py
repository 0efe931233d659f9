"""``stenograde audit``: labels of a cohort to look at again; whether the service's log is as it was written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stenograde.cli.examples import epilog
from stenograde.cli.output import ConfigFile, needs_extra
from stenograde.errors import ConfigError


class _PredictionsFirst(TyperGroup):
    """Takes words that begin with no command for those of ``labels``: ``audit FILE`` is ``audit labels FILE``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the words that are left to the command."""
        is_help = not args or args[0] in ctx.help_option_names
        return super().parse_args(ctx, args if is_help else self._named(args))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the words name, and the words left over."""
        return super().resolve_command(ctx, self._named(args))

    def _named(self, args: list[str]) -> list[str]:
        return args if args[0] in self.commands else ["labels", *args]


def build() -> typer.Typer:
    """Return the group of audit commands."""
    app = typer.Typer(cls=_PredictionsFirst, rich_markup_mode=None)
    app.command("labels", epilog=epilog("audit labels"))(audit)
    app.command("verify", epilog=epilog("audit verify"))(verify)
    app.callback(no_args_is_help=True, epilog=epilog("audit"))(_group)
    return app


def _group() -> None:
    """Audit labels ('stenograde audit PREDICTIONS --labels CSV --out CSV'), or the log of the service."""


def audit(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS", help="CSV laid out as a submission: row_id, normal_mild, moderate, severe."
        ),
    ],
    labels: Annotated[Path, typer.Option("--labels", metavar="CSV", help="Labels, laid out as train.csv.")],
    out: Annotated[Path, typer.Option("--out", metavar="CSV", help="File to write the table into.")],
    share: Annotated[
        float, typer.Option("--share", min=0.0001, max=1.0, help="Share of the labels that is written.")
    ] = 0.05,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Of predictions of several models (column model): the one to use."),
    ] = None,
) -> None:
    """List the labels that predictions and a study's other labels support least, for a person to look at.

    Predictions must be out of fold, made by a model that was not trained on the study; a model knows by heart what it
    was trained on. They are calibrated on the labels for each condition; what the study's other cells say, and how they
    are labelled, is learnt from the other studies; and all cells are ranked together (confident learning).

    Columns of the table: rank (1 is the most suspicious), study_id, condition, level, side (empty for the canal),
    label (the stated severity), suggested (what confident learning would put in its place, empty where it would keep
    the label), normal_mild, moderate, severe (probabilities), score (the probability of the label).
    """
    from stenograde.files import write_whole
    from stenograde.grading.label_audit import as_audit_csv, audit_cohort

    found = audit_cohort(labels, predictions, share=share, model=model)
    write_whole(out, as_audit_csv(found))
    print(
        f"{out}: the {len(found.suspicious)} least supported of {found.cells} labels of {found.studies} studies; "
        f"confident learning would change {found.doubted} of all labels"
    )


def verify(config: ConfigFile = None) -> None:
    """Check that no line of the service's audit log was changed, put in or taken out since it was written.

    Prints the number of lines and the hash of the last: kept elsewhere, they show later that none was cut off the end.
    """
    with needs_extra("the service needs", extra="serve"):
        from stenograde.pacs.audit_log import verify as verified
        from stenograde.pacs.database import Database, check_migrated
        from stenograde.pacs.settings import read_settings

    with closing(Database(read_settings(config).database_url)) as database:
        check_migrated(database)
        found = verified(database)
    if found.broken is not None:
        msg = f"every line of the audit log must follow on the one before it, got line {found.broken}, which does not"
        raise ConfigError(msg)
    print(f"audit log: {found.lines} lines, each as it was written; hash of the last: {found.last_hash}")
