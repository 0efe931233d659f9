"""Where the pages of results find their templates, styles and ways to write numbers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import stenograde.report
from stenograde.report import words


@cache
def page_environment() -> Environment:
    """Return where pages of experiments find their templates and styles."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(stenograde.report.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=lambda value: "–" if value is None else f"{value:.3f}",
        share=lambda value: f"{100 * value:.0f} %",
        duration=duration,
        sentence=words.sentence,
    )
    return environment


def duration(seconds: float) -> str:
    """Return a time in words.

    Examples
    --------
    >>> duration(42.4), duration(754), duration(9000)
    ('42 s', '12 min 34 s', '2 h 30 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
