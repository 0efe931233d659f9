"""``stenograde serve``: the service that takes studies in, grades them and sends the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.output import ConfigFile, needs_extra, print_table

if TYPE_CHECKING:
    from stenograde.pacs.settings import ServeSettings

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what waits to be sent where, and end; nothing is sent.")
]


def serve(config: ConfigFile = None, dry_run: DryRun = False) -> None:
    """Run the service until Ctrl-C or SIGTERM; it logs JSON lines to standard error.

    Studies that are complete are graded by worker processes; whatever was accepted survives a crash at any moment. By
    default it listens to this machine alone and keeps everything in ./stenograde-store.
    """
    with needs_extra("the service needs", extra="serve"):
        from stenograde.pacs.service import serve as run
        from stenograde.pacs.settings import read_settings

    settings = read_settings(config)
    if dry_run:
        _show_planned(settings)
    else:
        run(settings)


def _show_planned(settings: ServeSettings) -> None:
    from stenograde.pacs.database import check_migrated
    from stenograde.pacs.send import open_outbox, planned

    outbox = open_outbox(settings)
    try:
        check_migrated(outbox.database)
        rows = [
            (one.destination, one.study_uid, str(one.version), one.kind, one.sop_uid, str(one.n_bytes))
            for one in planned(outbox, settings.destinations)
        ]
    finally:
        outbox.database.close()
    if rows:
        print_table(("destination", "study", "version", "kind", "instance", "bytes"), rows)
    print(f"{len(rows)} objects wait to be sent; nothing was sent")
