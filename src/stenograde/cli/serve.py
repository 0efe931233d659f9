"""``stenograde serve``: the service that takes studies in, grades them and sends the results."""

from __future__ import annotations

from stenograde.cli.output import ConfigFile, needs_extra


def serve(config: ConfigFile = None) -> None:
    """Run the service until Ctrl-C or SIGTERM; it logs JSON lines to standard error.

    Studies that are complete are graded by worker processes; whatever was accepted survives a crash at any moment. By
    default it listens to this machine alone and keeps everything in ./stenograde-store.
    """
    with needs_extra("the service needs", extra="serve"):
        from stenograde.pacs.service import serve as run
        from stenograde.pacs.settings import read_settings

    run(read_settings(config))
