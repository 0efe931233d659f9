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
    typer.Option(
        "--model",
        help="With --predictions of several models (column model): the one to score; each if not given.",
    ),
]

LabelsFile = Annotated[
    Path | None,
    typer.Option("--labels", metavar="CSV", help="In place of DATA: labels, laid out as train.csv."),
]

PredictionsFile = Annotated[
    Path | None,
    typer.Option(
        "--predictions", metavar="CSV", help="With --labels: predictions, laid out as a submission."
    ),
]

Baselines = Annotated[
    bool,
    typer.Option("--baselines", help="With --labels: score answers that look at no picture."),
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
    labels: LabelsFile = None,
    predictions: PredictionsFile = None,
    baselines: Baselines = False,
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
    With --labels and --baselines the scores are those of even odds and of the shares of severities in the very labels.

    What cannot be scored is told as absent, with the reason; in JSON its numbers are null, and "absent" says why.
    """
    if data is not None and (data / "spider_midsagittal").is_dir():
        others = (labels, predictions, model, baselines, leave_one_out, shares)
        _of_discs(data, bundle, json_only=json_only, is_alone=not any(others))
        return
    of_cohort = bundle or leave_one_out or shares
    numbers = {"draws": draws, "seed": seed}
    if data is not None and not (labels or predictions or model or baselines):
        _of_cohort(data, bundle, leave_one_out, {**numbers, "shares": shares}, json_only=json_only)
    elif data is None and labels and predictions and not (of_cohort or baselines):
        _of_predictions(labels, predictions, model, numbers, json_only=json_only)
    elif data is None and labels and baselines and not (of_cohort or predictions or model):
        _of_baselines(labels, numbers, json_only=json_only)
    else:
        msg = (
            "score needs either DATA, which --bundle, --leave-one-out and --shares go with, or --labels and "
            "--predictions, which --model goes with, or --labels and --baselines; see 'stenograde score --help'"
        )
        raise ConfigError(msg)


def _of_cohort(
    data: Path, bundle: Path | None, leave_one_out: bool, asked: Mapping[str, Any], *, json_only: bool
) -> None:
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.grading.cohort import score_passes
    from stenograde.predict.bundle import bundle_at

    loaded = bundle_at(bundle)
    with progress_on_stderr(lines=False) as progress:
        scores = score_passes(data, loaded, leave_one_out=leave_one_out, progress=progress, **asked)
    if json_only:
        _print_json({"data": data, "bundle": loaded.stamp, **asked, **scores})
        return
    for name, one in scores.items():
        _print(name, one)


def _of_predictions(
    labels: Path, predictions: Path, model: str | None, asked: Mapping[str, int], *, json_only: bool
) -> None:
    from stenograde.config import as_plain
    from stenograde.grading.submission import score_submissions

    by_model = score_submissions(labels, predictions, model=model, **asked)
    if json_only:
        given = {"labels": labels, "predictions": predictions, **asked}
        if len(by_model) > 1:
            _print_json({**given, "models": by_model})
        else:
            ((name, scores),) = by_model.items()
            _print_json({**given, **({"model": name} if name else {}), **as_plain(scores)})
        return
    for name, scores in by_model.items():
        of = f"{name}: " if name else ""
        _print_intervals(f"{of}metric of RSNA 2024, less is better", scores.score, scores.absent["score"])
        _print_intervals(f"{of}AUC of severe", scores.auc, scores.absent["auc"])
        print(
            f"{of}studies: {scores.n_studies}, scored cells: {scores.scored_cells}, labelled cells without "
            f"prediction: {scores.labelled_cells_without_prediction}, predictions without label: "
            f"{scores.predictions_without_label}"
        )


def _of_baselines(labels: Path, asked: Mapping[str, int], *, json_only: bool) -> None:
    from stenograde.grading.submission import score_trivial_answers

    scores = score_trivial_answers(labels, **asked)
    if json_only:
        _print_json({"labels": labels, **asked, "baselines": scores})
        return
    rows = [
        (part, *(_shown(one[part], scores.absent.get(part)) for one in scores.score.values()))
        for part in next(iter(scores.score.values()))
    ]
    title = "answers that look at no picture: metric of RSNA 2024, less is better"
    print_table(("part", *scores.score), rows, title=title)
    print(
        f"studies: {scores.n_studies}, scored cells: {scores.scored_cells}; shares are those of these cells"
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
                _shown(scores.score[part], scores.absent["score"].get(part)),
                _shown(scores.level_share[part]) if part in scores.level_share else "",
                _shown(scores.weighted[part]),
                _shown(scores.graded_only[part], scores.absent["graded_only"].get(part)),
                f"{scores.coverage[part] * 100:.0f} %" if scores.cells.get(part) else "",
            )
            for part in scores.score
        ],
        title=f"{name}: metric of RSNA 2024, less is better",
    )
    _print_intervals("AUC of severe", scores.auc, scores.absent["auc"])
    _print_intervals("share of cells graded as labelled", scores.agreement)
    _print_intervals("mean absolute error", scores.errors)
    took = f", {scores.seconds:.1f} s per study" if len(scores.failures) < scores.n_studies else ""
    print(
        f"{scores.n_studies} studies, {len(scores.failures)} not graded, {scores.flagged:.1f} cells per study with a "
        f"second opinion that disagrees{took}"
    )
    if scores.drafts:
        print(
            f"{scores.drafts} cells are drafts, which rest on phantoms alone; they are scored by their probabilities "
            "and are not counted as graded"
        )
    for failure in scores.failures:
        print(f"not graded: {failure}")
    for note in scores.left_out:
        print(f"in no score: {note}")


def _print_intervals(
    title: str, values: Mapping[str, Interval], absent: Mapping[str, str] | None = None
) -> None:
    rows = [(name, _shown(value, (absent or {}).get(name))) for name, value in values.items()]
    print_table(("of", "value (95 % interval)"), rows, title=title)


def _shown(value: Interval, why_absent: str | None = None) -> str:
    if value.known:
        return value.shown()
    return f"absent: {why_absent}" if why_absent else "absent"


def _of_discs(data: Path, bundle: Path | None, *, json_only: bool, is_alone: bool) -> None:
    if not is_alone:
        msg = f"findings of discs in {data} are scored with --bundle and --json alone, got another option"
        raise ConfigError(msg)
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
