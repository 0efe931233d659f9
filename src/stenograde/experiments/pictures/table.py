"""Results as Markdown tables, for a terminal, a page of documentation, a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stenograde.evaluate.intervals import Interval
from stenograde.experiments.pictures.result import Arm, Leak, Result
from stenograde.experiments.recipes.read import how_run
from stenograde.report.markdown import markdown_table

SHOWN: Mapping[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_f1": "macro F1",
    "auc_any": "AUC, any against the first class",
    "auc_worst": "AUC, last class against the others",
    "macro_auc": "macro AUC",
    "quadratic_kappa": "quadratic kappa",
    "log_loss": "log loss",
    "brier": "Brier score",
}
"""Scores of a result in their order, by the names they are read by."""

_SAME_FOR_TWO = ("auc_worst", "macro_auc", "quadratic_kappa")
"""With two classes these say nothing that ``auc_any`` and the accuracies do not."""

_FEW = ("accuracy", "balanced_accuracy", "macro_f1", "auc_any")
"""Scores by which arms and protocols are set side by side."""


def score_text(score: Interval | None, digits: int = 3) -> str:
    """Return a score with its interval, or a dash where it is undefined."""
    return "–" if score is None else score.shown(digits)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number, or a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def metrics_of(arm: Arm) -> tuple[str, ...]:
    """Return the scores worth showing for an arm, in order."""
    hidden = _SAME_FOR_TWO if len(arm.classes) == 2 else ()
    return tuple(name for name in SHOWN if name in arm.scores and name not in hidden)


def claims_of(result: Result, arm: Arm) -> Mapping[str, float]:
    """Return what the document reports for what an arm measures; nothing for an arm of the ablation."""
    claim = result.recipe.get("claim", {})
    parts = claim.get("parts", {})
    if arm.variant not in (None, result.main.variant):
        return {}
    return parts.get(arm.part, {}) if arm.part in parts else claim.get("scores", {})


def scores_table(result: Result, arm: Arm | None = None) -> str:
    """Return every score of an arm beside the document's and beside answers that need no picture."""
    shown = arm or result.main
    claims = claims_of(result, shown)
    header = ("score", "document", "here", *(baseline.name for baseline in shown.baselines))
    rows = [
        (
            SHOWN[name],
            number(claims.get(name)),
            score_text(shown.scores.get(name)),
            *(score_text(baseline.scores.get(name)) for baseline in shown.baselines),
        )
        for name in metrics_of(shown)
    ]
    return markdown_table(header, rows)


def arms_table(result: Result) -> str:
    """Return all arms side by side, each with its difference to the first where both tested the same pictures."""
    differences = result.against_first
    header = ["arm", "pictures", *(SHOWN[name] for name in _FEW)]
    if differences:
        header.append("first arm less this one, accuracy")
    rows = []
    for arm in result.arms:
        row = [arm.title, str(sum(map(sum, arm.confusion))), *(score_text(arm.scores.get(n)) for n in _FEW)]
        if differences:
            found = differences.get(arm.key)
            row.append(score_text(found.differences.get("accuracy")) if found else "–")
        rows.append(row)
    return markdown_table(header, rows)


_OF_SECOND = ("accuracy", "f1", "sensitivity", "specificity")


def second_class_table(result: Result) -> str:
    """Return accuracy, F1, sensitivity and specificity of the second of two classes, arm by arm."""
    name = result.data.classes[1]
    rows = []
    for arm in result.arms:
        row = arm.classes[1]
        scores = (arm.scores.get("accuracy"), row.f1, row.recall, row.specificity, arm.scores.get("auc_any"))
        rows.append([arm.title, *(score_text(score) for score in scores)])
    return markdown_table([f"arm ({name})", "accuracy", "F1", "sensitivity", "specificity", "AUC"], rows)


def differences_table(result: Result) -> str:
    """Return what each compared arm is more than the other on the same pictures, in percentage points."""
    titles = {arm.key: arm.title for arm in result.arms}
    rows = []
    for found in result.comparisons:
        differences = [
            Interval(100 * score.value, 100 * score.low, 100 * score.high)
            for name in _OF_SECOND
            if (score := found.differences.get(name)) is not None
        ]
        what = f"{titles[found.first]} − {titles[found.second]}"
        rows.append([what, *(score_text(score, digits=1) for score in differences), number(found.mcnemar_p)])
    return markdown_table(["percentage points", *_OF_SECOND, "McNemar p"], rows)


def protocols_table(results: Sequence[Result]) -> str:
    """Return the first arm of several results side by side: the document, its split here, the split by patient.

    The difference between the last two is what the document's split adds.
    """
    header = ["system", "protocol", "score", "document", "here"]
    names = list(dict.fromkeys(baseline.name for result in results for baseline in result.main.baselines))
    rows = []
    for result in results:
        for arm in _first_arms(result):
            by_name = {baseline.name: baseline for baseline in arm.baselines}
            claims = claims_of(result, arm)
            for metric in _FEW:
                beside = (by_name[name].scores.get(metric) if name in by_name else None for name in names)
                system = f"{_headline(result)}{f' {arm.part}' if arm.part else ''}"
                rows.append(
                    (
                        system,
                        result.protocol
                        if len(_first_arms(result)) == 1 or arm.part
                        else f"{result.protocol}: {arm.title}",
                        SHOWN[metric],
                        number(claims.get(metric)),
                        score_text(arm.scores.get(metric)),
                        *(score_text(score) for score in beside),
                    )
                )
    return markdown_table([*header, *names], rows)


def prevalence_table(arm: Arm) -> str:
    """Return what the arm's answers are worth where the classes are as common as in a population."""
    classes = [row.name for row in arm.classes]
    header = (
        "population",
        "accuracy",
        "always the most common class",
        *(f"{word} {name}" for name in classes for word in ("PPV", "NPV")),
    )
    rows = [
        (
            f"{at.name} ({', '.join(f'{share:.3f}' for share in at.shares)})",
            score_text(at.accuracy),
            number(at.majority),
            *(score_text(value) for pair in zip(at.ppv, at.npv, strict=True) for value in pair),
        )
        for at in arm.at_prevalence
    ]
    return markdown_table(header, rows)


def leak_table(result: Result) -> str:
    """Return what test and training share in each arm, and the score with and without it."""
    header = (
        "arm", "tested", "leaking", "shared patients", "look-alikes", "twins",
        "accuracy, leaking", "accuracy, clean", "balanced accuracy, leaking", "balanced accuracy, clean",
    )  # fmt: skip
    return markdown_table(header, (_leak_row(arm.title, arm.leak) for arm in result.arms))


def _leak_row(title: str, leak: Leak) -> tuple[str, ...]:
    counts = (leak.tested, leak.leaking, leak.shared_patients, leak.near_duplicates, leak.twins)
    pairs = (
        score_text(side.get(metric))
        for metric in ("accuracy", "balanced_accuracy")
        for side in (leak.on_leaking, leak.on_clean)
    )
    return (title, *map(str, counts), *pairs)


def repeats_table(result: Result) -> str:
    """Return the tests of two parts over their repeats, the document's and the corrected one."""
    header = ("score", "first", "mean", "second", "mean", "test", "p", "corrected resampled t-test, p", "d")
    rows = (
        (
            SHOWN.get(test.metric, test.metric),
            test.first,
            number(test.first_mean),
            test.second,
            number(test.second_mean),
            test.test,
            number(test.p, 4),
            number(test.corrected_p, 4),
            number(test.effect, 2),
        )
        for test in result.repeats
    )
    return markdown_table(header, rows)


def as_markdown(result: Result) -> str:
    """Return a result's tables under headings, in the order of its page."""
    main = result.main
    parts = [
        f"# {_headline(result)}, {result.protocol}",
        f"**{main.pretrained}**",
        "## Scores",
        scores_table(result),
    ]
    for title, wanted, table in (
        ("## Arms", len(result.arms) > 1, arms_table),
        ("## Over the repeats", bool(result.repeats), repeats_table),
        ("## Leaks", True, leak_table),
    ):
        if wanted:
            parts += [title, table(result)]
    if len(result.data.classes) == 2 and len(result.arms) > 1:
        parts += [f"## {result.data.classes[1].capitalize()}, arm by arm", second_class_table(result)]
        parts += ["## Differences on the same pictures", differences_table(result)]
    if main.at_prevalence:
        parts += ["## At the prevalence of a population", prevalence_table(main)]
    return "\n\n".join(parts) + "\n"


def _headline(result: Result) -> str:
    """Return a recipe's name, and what of its settings was changed."""
    name = str(result.recipe.get("name", "")).upper()
    return f"{name} ({how_run(result.recipe)})" if result.recipe.get("changed") else name


def _first_arms(result: Result) -> tuple[Arm, ...]:
    """Return the network as published: one arm, one for each part, or with and without twins."""
    return tuple(arm for arm in result.arms if arm.variant == result.main.variant)
