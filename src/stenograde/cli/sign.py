"""``stenograde sign``: a structured report that a person has read and answers for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.output import OutFolder, out_folder


def sign(
    results: Annotated[
        Path, typer.Argument(help="Results of 'stenograde grade --dicom sr': their folder, or its sr.dcm.")
    ],
    reader: Annotated[
        str,
        typer.Option("--reader", metavar="NAME", help="Who has read it and signs: 'Family^Given'."),
    ],
    organization: Annotated[
        str, typer.Option("--organization", metavar="NAME", help="For whom; DICOM demands one.")
    ],
    out: OutFolder,
) -> None:
    """Write sr-signed.dcm: the report as it was read, verified by a person.

    Its content is that of sr.dcm, which stays and is named as its predecessor; drafts stay left out. Name, organization
    and time stand in the file alone.
    """
    from datetime import datetime

    from stenograde.files import write_whole
    from stenograde.grading.dicom_results import signed_result

    signed = signed_result(results, reader, organization, datetime.now().astimezone())
    print(f"signed: {write_whole(out_folder(out) / signed.file_name, signed.content)}")
