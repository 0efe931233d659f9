"""``stenograde score``: how good grades are: of a cohort that is graded now, or of predictions that are there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stenograde.errors import ConfigError
from stenograde.workers import named

if TYPE_CHECKING:
    from stenograde.evaluate.intervals import Interval
    from stenograde.grading.cohort import CohortScores


def score(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Cohort in the layout of RSNA 2024, with train.csv."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="CSV", help="In place of DATA: labels, as train.csv.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="CSV", help="With --labels: what was said, as a submission."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Bundle to grade with.")] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Grade again with one series of each study left out.")
    ] = False,
    draws: Annotated[int, typer.Option("--draws", min=1, help="Draws of studies for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws and of what is left out.")] = 0,
    json_only: Annotated[
        bool, typer.Option("--json", help="Print the numbers as JSON in place of tables.")
    ] = False,
) -> None:
    """Grade every study of a cohort and score the grades against its labels; or score predictions that are there.

    Prints the metric of RSNA 2024 (weighted log loss, four parts), the AUC of severe, how many cells were graded, and
    the errors of level points and measurements where the cohort tells the truth of them; 95 % intervals over studies.
    A cell of which nothing was said counts as even odds. An abstained cell counts with what it would have said, and
    the last column leaves it out.

    With --labels and --predictions nothing is graded: the columns row_id, normal_mild, moderate and severe are scored
    as RSNA 2024 scores a submission. Labelled cells without a prediction do not count, and are told.
    """
    if data is not None and labels is None and predictions is None:
        numbers, show = _of_cohort(data, bundle, leave_one_out=leave_one_out, draws=draws, seed=seed)
    elif data is None and labels is not None and predictions is not None and not (bundle or leave_one_out):
        numbers, show = _of_predictions(labels, predictions, draws=draws, seed=seed)
    else:
        msg = (
            "score needs either DATA, which --bundle and --leave-one-out go with, or both --labels and "
            "--predictions; see 'stenograde score --help'"
        )
        raise ConfigError(msg)
    if json_only:
        print(json.dumps(numbers, indent=2))
    else:
        show()


def _of_cohort(
    data: Path, bundle: Path | None, *, leave_one_out: bool, draws: int, seed: int
) -> tuple[dict[str, Any], Callable[[], None]]:
    """Grade and score a cohort; gives the numbers, and what prints them."""
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.grading.cohort import grade_cohort, score_cohort
    from stenograde.predict.bundle import bundle_at

    loaded = bundle_at(bundle)
    passes: dict[str, int | None] = {"whole studies": None}
    if leave_one_out:
        passes["one series left out"] = seed
    scores = {}
    for name, left_out in passes.items():
        with progress_on_stderr(lines=False) as progress:
            told = named(progress, f"grading {name}")
            graded = grade_cohort(data, loaded, leave_one_out=left_out, progress=told)
        scores[name] = score_cohort(graded, draws=draws, seed=seed)
    numbers = {"data": str(data), "bundle": asdict(loaded.stamp), "draws": draws, "seed": seed}
    plain = {name: _plain(asdict(one)) for name, one in scores.items()}

    def show() -> None:
        for name, one in scores.items():
            _print(name, one)

    return {**numbers, **plain}, show


def _of_predictions(
    labels: Path, predictions: Path, *, draws: int, seed: int
) -> tuple[dict[str, Any], Callable[[], None]]:
    """Score predictions; gives the numbers, and what prints them."""
    from stenograde.grading.submission import score_submission

    scores = score_submission(labels, predictions, draws=draws, seed=seed)
    files = {"labels": str(labels), "predictions": str(predictions), "draws": draws, "seed": seed}

    def show() -> None:
        from stenograde.cli.progress import console_for_tables

        console = console_for_tables()
        console.print(_table("metric of RSNA 2024, less is better", scores.score))
        console.print(_table("AUC of severe", scores.auc))
        console.print(
            f"studies: {scores.n_studies}, scored cells: {scores.scored_cells}, labelled cells without prediction: "
            f"{scores.labelled_cells_without_prediction}, predictions without label: "
            f"{scores.predictions_without_label}",
            soft_wrap=True,
        )

    return {**files, **_plain(asdict(scores))}, show


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
