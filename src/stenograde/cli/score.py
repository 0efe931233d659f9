"""``stenograde score``: how good the grades of a cohort are, or predictions made elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stenograde.cli.output import MAX_DRAWS, BundleFolder, print_table
from stenograde.errors import ConfigError

if TYPE_CHECKING:
    from stenograde.evaluate.intervals import Interval
    from stenograde.grading.cohort import CohortScores


Model = Annotated[
    str | None,
    typer.Option("--model", help="With --predictions of several models (column model): the one to score."),
]

SharesFile = Annotated[
    Path | None,
    typer.Option(
        "--shares",
        metavar="CSV",
        help="Labels, laid out as train.csv, that say how common each severity is at each level; "
        "those of the cohort's other studies if not given.",
    ),
]


def score(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Cohort in the layout of RSNA 2024, with train.csv."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="CSV", help="In place of DATA: labels, laid out as train.csv."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions", metavar="CSV", help="With --labels: predictions, laid out as a submission."
        ),
    ] = None,
    bundle: BundleFolder = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Grade again with one series of each study left out.")
    ] = False,
    model: Model = None,
    shares: SharesFile = None,
    draws: Annotated[
        int, typer.Option("--draws", min=1, max=MAX_DRAWS, help="Draws of studies for the intervals.")
    ] = 1000,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of the draws and of what is left out.")
    ] = 0,
    json_only: Annotated[
        bool, typer.Option("--json", help="Print the numbers as JSON instead of tables.")
    ] = False,
) -> None:
    """Grade every study of a cohort and score the grades against its labels, or score predictions made elsewhere.

    Prints the metric of RSNA 2024 (weighted log loss, four parts), the AUC of severe, the share of cells graded, and
    the errors of level points and measurements where the cohort knows the truth, with 95 % intervals over studies.
    A cell with no probabilities counts as even odds. An abstained cell and a draft count with the probabilities they
    would have had; "graded cells only" leaves them out. "level's share alone" is the score of an answer that looks at
    no picture and knows only how common each severity is at each level.

    Where DATA holds spider_midsagittal with its gradings, the findings of discs are scored on these patients, who must
    not be those that the bundle learnt from: its card has the scores out of fold.

    With --labels and --predictions nothing is graded: the columns row_id, normal_mild, moderate and severe are scored
    as RSNA 2024 scores a submission. Labelled cells without a prediction are left out, and their number is printed.
    """
    if data is not None and (data / "spider_midsagittal").is_dir():
        _of_discs(data, bundle, json_only=json_only)
        return
    if data is not None and labels is None and predictions is None and model is None:
        asked = {"leave_one_out": leave_one_out, "draws": draws, "seed": seed, "shares": shares}
        _of_cohort(data, bundle, asked, json_only=json_only)
    elif (
        data is None
        and labels is not None
        and predictions is not None
        and not (bundle or leave_one_out or shares)
    ):
        _of_predictions(labels, predictions, model, draws=draws, seed=seed, json_only=json_only)
    else:
        msg = (
            "score needs either DATA, which --bundle, --leave-one-out and --shares go with, or both --labels "
            "and --predictions, which --model goes with; see 'stenograde score --help'"
        )
        raise ConfigError(msg)


def _of_cohort(data: Path, bundle: Path | None, asked: Mapping[str, Any], *, json_only: bool) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.grading.cohort import score_passes
    from stenograde.predict.bundle import bundle_at

    loaded = bundle_at(bundle)
    with progress_on_stderr(lines=False) as progress:
        scores = score_passes(data, loaded, progress=progress, **asked)
    if json_only:
        told = {name: asked[name] for name in ("draws", "seed", "shares")}
        _print_json({"data": data, "bundle": loaded.stamp, **told, **scores})
        return
    for name, one in scores.items():
        _print(name, one)


def _of_predictions(
    labels: Path, predictions: Path, model: str | None, *, draws: int, seed: int, json_only: bool
) -> None:
    from stenograde.config import as_plain
    from stenograde.grading.submission import score_submission

    scores = score_submission(labels, predictions, model=model, draws=draws, seed=seed)
    if json_only:
        named = {} if model is None else {"model": model}
        given = {"labels": labels, "predictions": predictions, **named, "draws": draws, "seed": seed}
        _print_json({**given, **as_plain(scores)})
        return
    _print_intervals("metric of RSNA 2024, less is better", scores.score)
    _print_intervals("AUC of severe", scores.auc)
    print(
        f"studies: {scores.n_studies}, scored cells: {scores.scored_cells}, labelled cells without prediction: "
        f"{scores.labelled_cells_without_prediction}, predictions without label: "
        f"{scores.predictions_without_label}"
    )


def _print_json(numbers: Mapping[str, Any]) -> None:
    from stenograde.config import as_plain

    print(json.dumps(as_plain(numbers), indent=2))


def _print(name: str, scores: CohortScores) -> None:
    print_table(
        (
            "part",
            "as graded",
            "level's share alone",
            "weighted as the metric weighs",
            "graded cells only",
            "graded",
        ),
        [
            (
                part,
                scores.score[part].shown(),
                scores.level_share[part].shown() if part in scores.level_share else "",
                *(one[part].shown() for one in (scores.weighted, scores.graded_only)),
                f"{scores.coverage[part] * 100:.0f} %" if part in scores.coverage else "",
            )
            for part in scores.score
        ],
        title=f"{name}: metric of RSNA 2024, less is better",
    )
    _print_intervals("AUC of severe", scores.auc)
    _print_intervals("share of cells graded as labelled", scores.agreement)
    _print_intervals("mean absolute error", scores.errors)
    print(
        f"{scores.n_studies} studies, {len(scores.failures)} not graded, {scores.flagged:.1f} cells per study with a "
        f"second opinion that disagrees, {scores.seconds:.1f} s per study"
    )
    if scores.drafts:
        print(
            f"{scores.drafts} cells are drafts, which rest on phantoms alone; they are scored by their probabilities "
            "and are not counted as graded"
        )
    for failure in scores.failures:
        print(f"not graded: {failure}")


def _print_intervals(title: str, values: Mapping[str, Interval]) -> None:
    rows = [(name, value.shown()) for name, value in values.items()]
    print_table(("of", "value (95 % interval)"), rows, title=title)


def _of_discs(data: Path, bundle: Path | None, *, json_only: bool) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import as_plain
    from stenograde.predict.bundle import bundle_at
    from stenograde.train.discs.scoring import as_rows, score_bundle

    with progress_on_stderr() as progress:
        found = score_bundle(data, bundle_at(bundle), progress=progress)
    if json_only:
        print(json.dumps(as_plain(found), indent=1, allow_nan=False))
        return
    head, *rows = as_rows(found)
    print_table(head, rows)
    print("AUC and quadratic kappa with 95 % intervals over patients, on discs that T1 and T2 both show")
