"""``stenograde deidentify``: DICOM files in, files that no longer tell who the patient is out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.output import MemoryLimit, bytes_asked, print_table, say_error

if TYPE_CHECKING:
    from stenograde.dicom.deidentify.folder import Deidentified


KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key",
        help="File of the key by which UIDs, patients and dates change, so that further runs agree; made if it is "
        "not there. Who has it can link patients: keep it secret, or give none and it is forgotten.",
    ),
]
ModifiedDates = Annotated[
    bool,
    typer.Option("--modified-dates", help="Keep times, and dates moved by the same days for each patient."),
]
DeviceIdentity = Annotated[
    bool, typer.Option("--retain-device-identity", help="Keep names and serial numbers of devices.")
]
PatientCharacteristics = Annotated[
    bool,
    typer.Option("--retain-patient-characteristics", help="Keep sex, age (at most 90), size and weight."),
]
Descriptors = Annotated[
    bool,
    typer.Option(
        "--clean-descriptors/--remove-descriptors",
        help="Keep those words of descriptions that are known to be of imaging, or none.",
    ),
]
SafePrivate = Annotated[
    bool, typer.Option("--retain-safe-private", help="Keep private elements that are known to be safe.")
]
Blanked = Annotated[
    list[str] | None,
    typer.Option(
        "--blank",
        metavar="ROWSxCOLUMNS",
        help="Set these pixels to zero, such as 0-40x0-511, in images that may show text; they are refused "
        "otherwise. May be repeated.",
    ),
]


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder, archive or file; it stays as it is.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; new or empty.")],
    key: KeyFile = None,
    retain_uids: Annotated[bool, typer.Option("--retain-uids", help="Keep UIDs.")] = False,
    modified_dates: ModifiedDates = False,
    device_identity: DeviceIdentity = False,
    patient_characteristics: PatientCharacteristics = False,
    descriptors: Descriptors = True,
    safe_private: SafePrivate = False,
    blanked: Blanked = None,
    memory_limit: MemoryLimit = None,
) -> None:
    """Write copies of DICOM images without what tells who the patient is (PS3.15 Annex E).

    What is no image is refused, as are images that may show text. Exit codes: 0, all files were copied; 2, at
    least one was not, each is told with the reason; 1, a fault of ours.
    """
    from stenograde.dicom.deidentify import folder
    from stenograde.dicom.deidentify.profile import Options
    from stenograde.dicom.deidentify.pseudonyms import key_at
    from stenograde.dicom.deidentify.refusals import area_of

    options = Options(
        retain_uids=retain_uids,
        modified_dates=modified_dates,
        device_identity=device_identity,
        clean_descriptors=descriptors,
        patient_characteristics=patient_characteristics,
        safe_private=safe_private,
    )
    areas = tuple(map(area_of, blanked or ()))
    request = folder.Request(options, key_at(key), areas, bytes_asked(memory_limit))
    done = folder.deidentify(source, out, request, say_error)
    _print(done)
    raise typer.Exit(2 if done.refused else 0)


def _print(done: Deidentified) -> None:
    print_table(
        ("what was done", "tag", "attribute", "times"), [(*row[:3], str(row[3])) for row in done.rows]
    )
    print(
        f"{done.n_written} of {done.n_files} files written to {done.folder}, {done.n_blanked} with pixels blanked"
    )
    print(
        "read docs/deidentify.md for what this does and what it cannot; look at the images before you share them"
    )
