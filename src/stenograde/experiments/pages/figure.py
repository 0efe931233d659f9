"""A drawing on a page of a result, as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A drawing and what it shows."""

    svg: Markup
    """Drawn by matplotlib, which escapes every text in it."""
    caption: str


def drawn(svg: str, caption: str) -> Figure:
    """Return a drawing of :mod:`stenograde.evaluate.plots` as a figure."""
    return Figure(Markup(svg), caption)  # noqa: S704  made by our own plots, which escape what they are given
