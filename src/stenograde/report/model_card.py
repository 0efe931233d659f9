"""An evaluation as a model card in Markdown, under the headings that reviewers ask for; a person fills in the rest.

References
----------
Collins et al., TRIPOD+AI, BMJ 2024;385:e078378, doi:10.1136/bmj-2023-078378 (items 1 to 27).
Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, Radiology: Artificial
Intelligence 2024;6:e240300, doi:10.1148/ryai.240300.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stenograde.report import evaluation_words as words
from stenograde.report.markdown import markdown_table

TO_FILL = "TO BE FILLED BY A PERSON"
"""Stands before everything that no program can know."""


def as_model_card(numbers: Mapping[str, Any], *, bundle_card: str = "") -> str:
    """Return the card of a bundle that was evaluated.

    Parameters
    ----------
    numbers : mapping
        The content of ``evaluation.json``.
    bundle_card : str
        The bundle's own card, which tells how it was made; it becomes an appendix.
    """
    return (
        _environment()
        .get_template("model-card.md")
        .render(
            numbers=numbers,
            finding=words.finding(numbers),
            who=words.who(numbers),
            signs=words.shift_signs(numbers),
            words=words,
            metric=_metric(numbers),
            discrimination=_discrimination(numbers),
            severities=_severities(numbers),
            became=_became(numbers),
            risk=_risk(numbers),
            sets=_sets(numbers),
            groups=_groups(numbers),
            evidence=_evidence(numbers),
            bundle_card=re.sub(r"(?m)^(#+ )", r"##\1", bundle_card.strip()),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701  Markdown: what others wrote goes through ``plain``
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(plain=plain)
    environment.globals.update(fill=lambda what: f"**{TO_FILL}:** {what}")
    return environment


def plain(text: object) -> str:
    r"""Return text of others for Markdown: on one line, and nothing that would be markup.

    Examples
    --------
    >>> plain("<b> of\n[x](y)")
    '&lt;b> of \\[x\\](y)'
    """
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]])", r"\\\1", line)


def _metric(numbers: Mapping[str, Any]) -> str:
    rows = [
        (
            words.PARTS[part["name"]],
            *(
                words.interval(part[name], why=part["absent"].get(name, ""))
                for name in ("as_graded", "level_share", "difference", "weighted", "graded_only")
            ),
        )
        for part in numbers["parts"]
    ]
    head = ("part", "as graded", "level's share", "difference", "weighted as the metric", "graded cells only")
    return markdown_table(head, rows)


def _discrimination(numbers: Mapping[str, Any]) -> str:
    rows = [
        (
            words.PARTS[one["condition"]],
            f"{one['answered']} of {one['cells']}",
            *(words.interval(one["scores"][name], why=one["absent"].get(name, "")) for name in words.SCORES),
            words.figure(one["calibration_error"]),
        )
        for one in numbers["conditions"]
    ]
    return markdown_table(("condition", "cells", *words.SCORES.values(), "calibration error"), rows)


def _severities(numbers: Mapping[str, Any]) -> str:
    rows = [
        (
            words.PARTS[one["condition"]],
            f"{one['studies']}",
            f"{one['cells']}",
            *(_part(one["severities"][name], one["cells"]) for name in words.SEVERITIES),
        )
        for one in numbers["conditions"]
    ]
    return markdown_table(("condition", "studies", "cells", *words.SEVERITIES.values()), rows)


def _became(numbers: Mapping[str, Any]) -> str:
    rows = [
        (
            words.PARTS[one["condition"]],
            *(_part(one["statuses"][name], one["cells"]) for name in words.STATUSES),
        )
        for one in numbers["conditions"]
    ]
    return markdown_table(("condition", *words.STATUSES.values()), rows)


def _risk(numbers: Mapping[str, Any]) -> str:
    scored = [one for one in numbers["conditions"] if one["risk_at"]]
    shares: Iterable[str] = scored[0]["risk_at"] if scored else ()
    rows = [
        (share.replace("%", " %"), *(words.percent(one["risk_at"][share]) for one in scored))
        for share in shares
    ]
    return (
        markdown_table(("cells answered", *(words.PARTS[one["condition"]] for one in scored)), rows)
        if rows
        else ""
    )


def _sets(numbers: Mapping[str, Any]) -> str:
    rows = [
        (
            words.PARTS[one["condition"]],
            words.percent(one["sets"]["asked"]),
            *(words.interval(one["sets"]["covered"][name], 2, "no such cell") for name in words.SEVERITIES),
            words.figure(one["sets"]["mean_size"], 2),
        )
        for one in numbers["conditions"]
        if one["sets"]
    ]
    covered = (f"{name} covered" for name in words.SEVERITIES.values())
    return markdown_table(("condition", "asked", *covered, "severities in a set"), rows) if rows else ""


def _groups(numbers: Mapping[str, Any]) -> str:
    rows = [
        (
            f"{words.KINDS[row['kind']]}: {plain(row['name'])}",
            words.PARTS[row["condition"]],
            f"{row['studies']}",
            f"{row['cells']}",
            f"{row['severe']}",
            words.interval(row["log_loss"]),
            words.interval(row["level_share"], why=row["absent"].get("level_share", "")),
            words.interval(row["auc_severe"], why=row["absent"].get("auc_severe", "")),
        )
        for row in numbers["groups"]
    ]
    head = (
        "group",
        "condition",
        "studies",
        "cells",
        "severe",
        "weighted log loss",
        "level's share",
        "AUC, severe",
    )
    return markdown_table(head, rows) if rows else ""


def _evidence(numbers: Mapping[str, Any]) -> str:
    rows = [
        (
            words.PARTS[condition],
            words.RESTS_ON[known["kind"]] + (f", {plain(known['note'])}" if known["note"] else ""),
            f"{known['patients']}",
            f"{known['cells']}",
            words.figure(known["score"], 2),
            words.figure(known["level_share"], 2),
        )
        for condition, known in numbers["evidence"].items()
    ]
    head = ("condition", "rests on", "patients", "cells", "log loss", "level's share")
    return markdown_table(head, rows) if rows else ""


def _part(n: int, of: int) -> str:
    return f"{n} ({words.percent(n / of)})" if of else "–"
