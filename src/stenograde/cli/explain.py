"""``stenograde explain``: what the network looked at, cell by cell, on the slices of the study; needs ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.output import (
    BundleFolder,
    MemoryLimit,
    OutFolder,
    RolesFile,
    StudyUid,
    bytes_asked,
    out_folder,
    print_table,
)
from stenograde.errors import ConfigError
from stenograde.terms import Cell

if TYPE_CHECKING:
    from stenograde.report.as_explain_json import ExplainedCell


def explain(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help="Folder, zip or DICOMDIR of one study.")],
    out: OutFolder,
    bundle: BundleFolder = None,
    cell: Annotated[
        list[str] | None,
        typer.Option(
            "--cell",
            metavar="NAME",
            help="Cell to explain, such as left_subarticular_stenosis_l4_l5; repeatable. Those that the network calls "
            "moderate or severe if not given, at most 10.",
        ),
    ] = None,
    study: StudyUid = None,
    roles: RolesFile = None,
    memory_limit: MemoryLimit = None,
) -> None:
    """Show which slices and places the network's answers rest on; writes explain.json and a picture per cell.

    It explains the network, not the patient: a map says what moved the answer, not that the answer is right.
    """
    from stenograde.cli.output import needs_extra
    from stenograde.dicom.read.given_roles import read_roles
    from stenograde.dicom.read.studies import read_study
    from stenograde.predict.bundle import bundle_at

    cells = [_cell(name) for name in cell or ()]
    with needs_extra("explaining needs"):
        from stenograde.train.explain.study import EXPLAINED, explain_study
    folder = out_folder(out)
    role_of = read_roles(roles) if roles else None
    one = read_study(path, study_uid=study, roles=role_of, memory_limit=bytes_asked(memory_limit))
    explained = explain_study(one, bundle_at(bundle), folder, cells)
    _print(explained)
    print(f"table:    {folder / EXPLAINED}")
    print("it explains the network, not the patient; research use only: not a medical device")


def _cell(name: str) -> Cell:
    from stenograde.terms import LUMBAR_MRI

    known = {one.name: one for one in LUMBAR_MRI.cells}
    if name not in known:
        msg = f"--cell must be a cell such as left_subarticular_stenosis_l4_l5, got {name!r}"
        raise ConfigError(msg)
    return known[name]


def _print(explained: tuple[ExplainedCell, ...]) -> None:
    if not explained:
        print("explained: nothing: the network calls no cell moderate or severe; name one with --cell")
        return
    rows = []
    for one in explained:
        crops = sorted(one.crops, key=lambda crop: -crop.share)[:2]
        shown = ", ".join(f"{crop.kind} from the {crop.side.value} {crop.share:.0%}" for crop in crops)
        at = one.strongest.point if one.strongest else ()
        rows.append(
            (
                one.cell.name,
                one.status.value,
                f"{1 - one.probabilities[0]:.2f}",
                shown,
                ", ".join(f"{mm:.0f}" for mm in at),
                one.picture,
            )
        )
    print_table(
        ("cell", "status", "moderate or severe", "most of the map", "strongest at, LPS mm", "picture"), rows
    )
