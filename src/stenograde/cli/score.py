"""``stenograde score``: grade a cohort whose answers are known, and say how good the grades are."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stenograde.evaluate.intervals import Interval
    from stenograde.experiments.cohort import CohortScores


def score(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Cohort in the layout of RSNA 2024, with train.csv.")
    ],
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Bundle to grade with.")] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Grade again with one series of each study left out.")
    ] = False,
    draws: Annotated[int, typer.Option("--draws", min=1, help="Draws of studies for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws and of what is left out.")] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers here as well.")
    ] = None,
) -> None:
    """Grade every study of a cohort and score the grades against its labels.

    Prints the metric of RSNA 2024 (weighted log loss, four parts), the AUC of severe, how many cells were graded, and
    the errors of level points and measurements where the cohort tells the truth of them; 95 % intervals over studies.
    A cell of which nothing was said counts as even odds. An abstained cell counts with what it would have said, and
    the last column leaves it out.
    """
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.datasets.study_files import patient_folders
    from stenograde.experiments.cohort import grade_cohort, score_cohort
    from stenograde.files import write_whole
    from stenograde.predict.bundle import default_bundle, load_bundle

    loaded = load_bundle(bundle) if bundle else default_bundle()
    total = len(patient_folders(data))
    numbers: dict[str, Any] = {
        "data": str(data),
        "bundle": asdict(loaded.stamp),
        "draws": draws,
        "seed": seed,
    }
    passes: dict[str, int | None] = {"whole studies": None}
    if leave_one_out:
        passes["one series left out"] = seed
    for name, left_out in passes.items():
        with progress_on_stderr(f"grading {name}", total=total) as advance:
            graded = grade_cohort(data, loaded, leave_one_out=left_out, done=advance)
        scores = score_cohort(graded, draws=draws, seed=seed)
        numbers[name] = _plain(asdict(scores))
        _print(name, scores)
    if json_file:
        write_whole(json_file, json.dumps(numbers, indent=2) + "\n")
        print(f"written: {json_file}")


def _print(name: str, scores: CohortScores) -> None:
    from rich.table import Table

    from stenograde.cli.progress import console_for_tables

    console = console_for_tables()
    metric = Table(title=f"{name}: metric of RSNA 2024, less is better", title_justify="left")
    for heading in ("part", "as said", "weighted as the metric weighs", "graded cells only", "graded"):
        metric.add_column(heading, overflow="fold")
    for part in scores.score:
        share = f"{scores.coverage[part] * 100:.0f} %" if part in scores.coverage else ""
        said, weighted, only = (one[part] for one in (scores.score, scores.weighted, scores.graded_only))
        metric.add_row(part, str(said), str(weighted), str(only), share)
    console.print(metric)
    console.print(_table("AUC of severe", scores.auc))
    console.print(_table("share of cells graded as labelled", scores.agreement))
    console.print(_table("mean absolute error", scores.errors))
    console.print(
        f"{scores.n_studies} studies, {len(scores.failures)} not graded, {scores.flagged:.1f} cells per study with a "
        f"second opinion that disagrees, {scores.seconds:.1f} s per study",
        soft_wrap=True,
    )
    for failure in scores.failures:
        console.print(f"not graded: {failure}", soft_wrap=True)


def _table(title: str, values: Mapping[str, Interval]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("of")
    table.add_column("value (95 % interval)")
    for name, value in values.items():
        table.add_row(name, str(value))
    return table


def _plain(value: Any) -> Any:
    """Return a value without NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
