"""An evaluation as one HTML page that needs nothing else; it shows what ``evaluation.json`` holds, without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stenograde.report import evaluation_words as words
from stenograde.report.evaluation_plots import bars, reliability_plot, risk_plot
from stenograde.report.evaluation_words import SCHEMA_ID
from stenograde.report.words import sentence

__all__ = ["SCHEMA_ID", "as_evaluation_html"]


def as_evaluation_html(numbers: Mapping[str, Any]) -> str:
    """Return an evaluation as a self-contained HTML page.

    Parameters
    ----------
    numbers : mapping
        The content of ``evaluation.json``, as ``docs/evaluation.md`` describes it.

    Returns
    -------
    str
        Everything inline, all text escaped; its own policy forbids any request and any script.
    """
    parts, conditions = numbers["parts"], numbers["conditions"]
    marks = [part["level_share"]["value"] for part in parts]
    return (
        _environment()
        .get_template("evaluation.html")
        .render(
            numbers=numbers,
            finding=words.finding(numbers),
            who=words.who(numbers),
            part_bars=bars([part["as_graded"] for part in parts], marks),
            reliability=[reliability_plot(one) for one in conditions],
            risk=risk_plot(conditions),
            groups=[(kind, list(rows)) for kind, rows in groupby(numbers["groups"], lambda row: row["kind"])],
            signs=words.shift_signs(numbers),
            words=words,
            version=numbers["version"],
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=words.figure, percent=words.percent, sentence=sentence)
    return environment
