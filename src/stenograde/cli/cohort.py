"""``stenograde train rsna2024``, ``ingest`` and ``crops``: a cohort of patients to a bundle, step by step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stenograde.cli.settings import DeviceOption, Log, PrecisionOption, Settings, SizeName, changes_asked

if TYPE_CHECKING:
    from stenograde.config import Changes
    from stenograde.train.cohort.ingest import Ingested
    from stenograde.train.cohort.run import Chosen, Prepared


Data = Annotated[
    Path,
    typer.Option(
        "--data", help="Folder in the layout of RSNA 2024: train_images, train.csv and its other tables."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="CSV with study_id and a column for each labelled cell, such as spinal_canal_stenosis_l4_l5; "
        "train.csv in the folder if not given.",
    ),
]
OutBundle = Annotated[
    Path, typer.Option("--out", help="Folder of the bundle; every step resumes where it was stopped.")
]
OutSteps = Annotated[Path, typer.Option("--out", help="Folder of the step; it resumes where it was stopped.")]
SizeOption = Annotated[
    SizeName,
    typer.Option("--size", help="quick for two cores and an evening, published for a GPU or several."),
]
Base = Annotated[
    Path | None,
    typer.Option("--base", help="Bundle whose locator to take over; the shipped one if not given."),
]
Processes = Annotated[
    int | None,
    typer.Option("--processes", min=1, help="Processes that read studies; one per core if not given."),
]

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="What the encoder starts from: imagenet (extra 'weights'), hub, a file, or none for a random start.",
    ),
]
OwnSettings = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings in place of a size.")
]
Without = Annotated[
    Path | None,
    typer.Option("--without", help="CSV of labels to leave out, as 'stenograde audit' writes it."),
]
Judge = Annotated[
    Path | None,
    typer.Option(
        "--judge",
        help="Further studies with marks, in the same layout, not learnt from: what simulated or other patients "
        "taught about where points lie is kept only where it is nearer to these marks.",
    ),
]
Licence = Annotated[
    str | None,
    typer.Option("--licence", help="What the data may be used for, for the card; RSNA 2024's if not given."),
]


def rsna2024(
    data: Data,
    out: OutBundle,
    size: SizeOption = SizeName.QUICK,
    weights: Weights = "imagenet",
    labels: Labels = None,
    settings: Settings = None,
    config: OwnSettings = None,
    base: Base = None,
    without: Without = None,
    judge: Judge = None,
    licence: Licence = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    log: Log = None,
    processes: Processes = None,
) -> None:
    """Train the 25-cell grader on RSNA 2024, or on a cohort of your own in its layout, and write a bundle.

    Reads every study once and tells what is odd, finds the levels, cuts crops, fits a net for each fold by patient,
    and calibrates on what the folds say of patients they never saw. Stopped at any moment, the same command goes on.
    """
    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import as_plain
    from stenograde.predict.bundle import bundle_at
    from stenograde.workers import n_cores

    with needs_extra("training needs"):
        from stenograde.train.cohort.run import RSNA_2024, RSNA_LICENCE, CohortData, train_cohort
        from stenograde.train.loop.tracking import tracked
    chosen = _chosen(size, config, changes_asked(settings, device, precision))
    name, terms = _named(labels, licence, RSNA_2024, RSNA_LICENCE)
    cohort = CohortData(data, labels, name, terms, judge)
    start = time.perf_counter()
    folder = out_folder(out)
    with progress_on_stderr() as shown, tracked(shown, log, as_plain(chosen.config), folder) as progress:
        made = train_cohort(
            cohort,
            folder,
            chosen,
            base=bundle_at(base),
            weights=None if weights in {None, "none"} else _start(str(weights)),
            without=without,
            processes=processes or n_cores(),
            progress=progress,
            tell=_say_prepared,
        )
    if made is None:  # another process writes and tells
        return
    prepared, assessed = made
    _say_scores(assessed.scores, phantoms=cohort.is_of_phantoms)
    print(f"studies: {len(prepared.crops.names)}, {time.perf_counter() - start:.0f} s")
    print(f"bundle:  {out}; out-of-fold predictions: {out / 'oof.csv'}; card: {out / 'card.md'}")
    print(
        f"found while reading: {out / 'training' / 'ingest.csv'}; labels to look at: {out / 'suspicious.png'}"
    )
    if not cohort.is_of_phantoms:
        print(f"licence: trained on {cohort.name}, {cohort.licence}; pass the weights on for no other use")


def _named(labels: Path | None, licence: str | None, rsna: str, terms: str) -> tuple[str, str]:
    """Return name and licence of a cohort: those of RSNA 2024 unless labels or a licence are others."""
    if licence is None and labels is None:
        return rsna, terms
    return "a cohort in the layout of RSNA 2024", licence or f"not stated; that of RSNA 2024: {terms}"


def ingest(data: Data, out: OutSteps, labels: Labels = None, processes: Processes = None) -> None:
    """Read every study of a cohort once and tell what is odd about its series, labels and marks."""
    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.workers import n_cores

    with needs_extra("reading a cohort for training needs"):
        from stenograde.train.cohort.ingest import ingest as read
    with progress_on_stderr() as progress:
        found = read(
            data, out_folder(out), labels=labels, processes=processes or n_cores(), progress=progress
        )
    _say_findings(found)
    print(f"report:  {out / 'ingest.csv'}")


def crops(
    data: Data,
    out: OutSteps,
    size: SizeOption = SizeName.QUICK,
    labels: Labels = None,
    settings: Settings = None,
    base: Base = None,
    processes: Processes = None,
) -> None:
    """Read a cohort, find its levels, measure them against the experts' marks, and cut crops in millimetres."""
    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.predict.bundle import bundle_at
    from stenograde.workers import n_cores

    with needs_extra("cutting a cohort for training needs"):
        from stenograde.train.cohort.run import CohortData, prepare
    chosen = _chosen(size, None, changes_asked(settings))
    with progress_on_stderr() as progress:
        prepared = prepare(
            CohortData(data, labels),
            out_folder(out),
            chosen.config,
            base=bundle_at(base),
            processes=processes or n_cores(),
            progress=progress,
        )
    _say_prepared(prepared)
    print(f"crops:   {out}")


def _chosen(size: SizeName, config: Path | None, changes: Changes) -> Chosen:
    from stenograde.config import build_changed, read_toml
    from stenograde.train.cohort.config import CohortTraining, read_size
    from stenograde.train.cohort.run import Chosen

    table = read_toml(config) if config else read_size(size.value)
    made, changed = build_changed(CohortTraining, table, changes, where=str(config or f"{size}.toml"))
    return Chosen(made, "a file of one's own" if config else size.value, changed)


def _start(weights: str) -> Any:
    return weights if weights in {"imagenet", "hub"} else Path(weights)


def _say_findings(found: Ingested) -> None:
    from stenograde.cli.output import print_table

    rows = [tuple(map(str, row)) for row in found.counts()]
    print_table(("finding", "studies", "findings"), rows, title="what was found while reading")
    print(f"studies: {len(found.records)}, to be used: {len(found.studies)}")


def _say_prepared(prepared: Prepared) -> None:
    from stenograde.cli.output import print_table

    _say_findings(prepared.ingested)
    print_table(
        ("what", "how much"),
        [*prepared.places.summary(), *prepared.points.told],
        title="where the levels were found",
    )
    absent = [(why, str(n)) for why, n in prepared.crops.reasons.items()]
    if absent:
        print_table(("why", "crops"), absent[:10], title="crops that are absent")


def _say_scores(scores: Any, *, phantoms: bool) -> None:
    from stenograde.cli.output import print_table

    whose = "phantoms, out of fold" if phantoms else "out of fold, by patient"
    print_table(
        ("part", "calibrated", "weighted as the metric weighs", "level's share, weighted"),
        [
            (part, *(scores[kind][part].shown() for kind in ("score", "weighted", "level_share_weighted")))
            for part in scores["score"]
        ],
        title=f"metric of RSNA 2024 ({whose}), less is better",
    )
