"""``stenograde grade``: studies in, grades.json and report.html out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stenograde.cli.grade_cohort import (
    CohortOptions,
    EngineOption,
    Manifest,
    ReportsOption,
    WorkersOption,
    grade_cohort,
    refuse,
)
from stenograde.cli.output import (
    BundleFolder,
    MemoryLimit,
    OutFolder,
    RolesFile,
    StudyUid,
    bytes_asked,
    out_folder,
    print_table,
    say_error,
)
from stenograde.errors import ConfigError
from stenograde.terms import Condition, Role

if TYPE_CHECKING:
    from stenograde.grading.studies import Read
    from stenograde.grading.study import Graded, Grading, Outcome
    from stenograde.study import Study
    from stenograde.terms import Cell, Severity


ReferenceFile = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        help="CSV of known grades, laid out as train.csv of RSNA 2024; the report shows them beside ours.",
    ),
]

OpenDrafts = Annotated[
    bool,
    typer.Option("--drafts", help="Show drafts, which rest on phantoms alone, unfolded and printed."),
]

Demographics = Annotated[
    bool,
    typer.Option(
        "--demographics/--no-demographics", help="Tell date of examination, age and sex in reports."
    ),
]


DicomKinds = Annotated[
    str | None,
    typer.Option(
        "--dicom",
        metavar="KINDS",
        help="DICOM objects to write as well, separated by commas: sr (structured report, TID 1500).",
    ),
]

Fhir = Annotated[
    bool, typer.Option("--fhir", help="Write fhir.json as well: DiagnosticReport and Observations, FHIR R4.")
]


def grade(
    out: OutFolder,
    studies: Annotated[
        list[Path] | None, typer.Argument(help="Folders, zips or DICOMDIRs, one study each.")
    ] = None,
    study: StudyUid = None,
    every: Annotated[
        bool, typer.Option("--all", help="Grade all studies found, each in OUT/<study>.")
    ] = False,
    roles: RolesFile = None,
    bundle: BundleFolder = None,
    reference: ReferenceFile = None,
    memory_limit: MemoryLimit = None,
    drafts: OpenDrafts = False,
    demographics: Demographics = True,
    dicom: DicomKinds = None,
    fhir: Fhir = False,
    cohort: Manifest = None,
    engine: EngineOption = "local",
    workers: WorkersOption = 0,
    reports: ReportsOption = False,
) -> None:
    """Grade studies and write grades.json and report.html for each.

    One study is written directly into OUT, several into OUT/<study>. Four inputs or more are graded by a process for
    every two, but no more than there are cores (--workers; half a gigabyte each); with --all or --debug by one. Exit
    codes: 0, all were graded; 2, at least one could not be graded as given; 1, a fault of ours. Results of an earlier
    run that a refused study would leave in OUT are renamed. With --dicom or --fhir, a study that cannot be graded has a
    report that says why, where its headers can be read.

    --cohort takes a manifest in place of studies, and writes OUT/studies and OUT/cells, Parquet tables in which each
    study stands once; stopped at any moment, the same command goes on.
    """
    from stenograde.dicom.read.given_roles import read_roles
    from stenograde.heap import keep_freed_memory

    if not (studies or cohort):
        told = "got neither; see 'stenograde grade --help'"
        msg = f"STUDIES must name what is to be graded, or --cohort a manifest, {told}"
        raise ConfigError(msg)
    if every and study:
        msg = f"--study and --all must not be given together, got --study {study}; leave one out"
        raise ConfigError(msg)
    folder = out_folder(out)
    role_of = read_roles(roles) if roles else None
    limit = bytes_asked(memory_limit)
    if cohort is not None:
        one_by_one = {"STUDIES": studies, "--study": study, "--all": every, "--reference": reference}
        shown = {"--drafts": drafts, "--no-demographics": not demographics, "--dicom": dicom, "--fhir": fhir}
        refuse({**one_by_one, **shown})
        how = CohortOptions(bundle, role_of, limit, engine, workers, reports=reports)
        raise typer.Exit(grade_cohort(cohort, folder, how))
    assert studies
    keep_freed_memory()
    graded_with = partial(
        _grading, bundle, reference, dicom, drafts=drafts, demographics=demographics, fhir=fhir
    )
    read = partial(_read, study, role_of, limit, every=every)
    if len(studies) == 1 and not every:
        _grade_one(studies[0], read, graded_with(say_error, ahead=True), folder, uid=study)
    else:
        # (--all: nobody knows how many studies an input holds, and they are written one by one)
        n_processes = 1 if every else workers_for(len(studies), workers)
        _grade_many(studies, read, graded_with, folder, n_processes)


def _grading(
    bundle: Path | None,
    reference: Path | None,
    dicom: str | None,
    tell: Callable[[str], None],
    *,
    drafts: bool,
    demographics: bool,
    fhir: bool,
    ahead: bool = False,
) -> Grading:
    from stenograde.predict.bundle import bundle_at

    loaded = bundle_at(bundle)
    if ahead:
        loaded.open_ahead()  # (in a thread, while the rest is imported)
    from stenograde.grading.dicom_results import kinds_of
    from stenograde.grading.study import Grading

    return Grading(
        loaded,
        _known(reference) if reference else None,
        tell=tell,
        open_drafts=drafts,
        demographics=demographics,
        dicom=kinds_of(dicom) if dicom is not None else (),
        fhir=fhir,
    )


def _grade_one(source: Path, read: Read, grading: Grading, folder: Path, *, uid: str | None) -> None:
    from stenograde.cli.progress import progress_on_stderr, under_way
    from stenograde.grading.study import earlier_results_set_aside, grade_into, reason_told

    told = reason_told(lambda _: folder, source, grading, uid=uid)
    with progress_on_stderr(lines=False) as progress, told, earlier_results_set_aside(folder):
        with under_way(progress, "reading the study"):
            (one,) = read(source)
        with under_way(progress, "grading it"):
            graded = grade_into(folder, one, grading, source=source)
    _print_one(graded, drafts=grading.open_drafts)


def _grade_many(
    studies: Sequence[Path], read: Read, graded_with: Callable[..., Grading], folder: Path, workers: int
) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.grading.studies import grade_studies, grade_studies_by_workers

    # (made here as well where workers have their own: what does not work is refused before any study is read)
    grading = graded_with(say_error, ahead=workers == 1)
    with progress_on_stderr(lines=False) as progress:
        if workers == 1:
            outcomes = grade_studies(studies, read, grading, folder, progress=progress)
        else:
            outcomes = grade_studies_by_workers(
                studies, read, graded_with, folder, workers=workers, tell=say_error, progress=progress
            )
    _print_table(outcomes)
    raise typer.Exit(_exit_code(outcomes))


def workers_for(n_inputs: int, asked: int) -> int:
    """Return how many processes grade so many inputs; to start one takes as long as a study."""
    from stenograde.workers import n_cores

    if logging.getLogger("stenograde").isEnabledFor(logging.DEBUG):
        return 1  # (--debug: workers say nothing)
    return max(min(asked, n_inputs) if asked else min(n_cores(), n_inputs // 2), 1)


def _known(reference: Path) -> Mapping[str, Mapping[Cell, Severity]]:
    from stenograde.datasets.rsna2024 import read_labels

    return read_labels(reference)


def _read(
    study_uid: str | None, roles: Mapping[str, Role] | None, memory_limit: int, path: Path, *, every: bool
) -> Sequence[Study]:
    from stenograde.dicom.read.studies import read_studies, read_study

    if every:
        return read_studies(path, roles=roles, memory_limit=memory_limit)
    return [read_study(path, study_uid=study_uid, roles=roles, memory_limit=memory_limit)]


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    from stenograde.grading.study import NotGraded

    failed = [outcome for outcome in outcomes if isinstance(outcome, NotGraded)]
    if any(outcome.is_our_fault for outcome in failed):
        return 1
    return 0 if outcomes and not failed else 2


_SIDED = {
    "foramina": Condition.NEURAL_FORAMINAL_NARROWING,
    "recesses": Condition.SUBARTICULAR_STENOSIS,
}
"""Sided conditions by the word they are printed under."""


def _print_one(graded: Graded, *, drafts: bool) -> None:
    from stenograde.grades import Status
    from stenograde.report.words import agreement, drafted_conditions, level_doubt, narrowed

    grades = graded.grades
    print(f"study:  {grades.study_uid}")
    if doubt := level_doubt(grades):
        print(f"levels: names uncertain: {doubt}")
    print(f"canal:  {narrowed(grades, Condition.SPINAL_CANAL_STENOSIS)}")
    drafted = drafted_conditions(grades)
    for word, condition in _SIDED.items():
        cells = grades.scheme.of(condition)
        answered = any(grades.of(cell).status in {Status.GRADED, Status.ABSTAINED} for cell in cells)
        if answered and condition not in drafted:
            print(f"{word}: {narrowed(grades, condition)}")
    if drafted and not drafts:
        print("drafts: folded in the report, not to be relied on; --drafts shows them")
    elif drafted:
        words = {Condition.SPINAL_CANAL_STENOSIS: "canal"} | {
            condition: word for word, condition in _SIDED.items()
        }
        print("drafts, not to be relied on:")
        for condition in grades.scheme.conditions:
            if condition in drafted:
                print(f"  {words[condition]}: {narrowed(grades, condition, status=Status.DRAFT)}")
    if graded.known:
        print(f"beside the reference: {agreement(grades, graded.known)}")
        told = agreement(grades, graded.known, status=Status.DRAFT) if drafts else ""
        if told:
            print(f"drafts beside it: {told}")
    print(f"grades: {graded.folder / 'grades.json'}")
    print(f"report: {graded.folder / 'report.html'}")
    for path in graded.others:
        print(f"{path.suffix.removeprefix('.') + ':':<7} {path}")
    print("research use only: not a medical device")


def _print_table(outcomes: Sequence[Outcome]) -> None:
    from stenograde.grading.study import Graded
    from stenograde.report.words import level_doubt, narrowed

    rows = []
    for outcome in outcomes:
        if isinstance(outcome, Graded):
            found = narrowed(outcome.grades, Condition.SPINAL_CANAL_STENOSIS)
            if level_doubt(outcome.grades):
                found = f"names of levels uncertain; {found}"
            seconds = f"{outcome.grades.seconds:.1f}"
            rows.append((outcome.name, "graded", found, seconds, str(outcome.folder)))
        else:
            what = "fault" if outcome.is_our_fault else "not graded"
            rows.append((outcome.name, what, outcome.line, "", ""))
    print_table(("study", "outcome", "spinal canal stenosis, or why not", "seconds", "folder"), rows)
    n_graded = sum(isinstance(outcome, Graded) for outcome in outcomes)
    print(f"{n_graded} of {len(outcomes)} studies graded; research use only: not a medical device")
