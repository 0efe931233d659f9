"""Tables in Markdown, for a terminal, a card, a page of documentation, a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a Markdown table; the first column is text, the others are figures.

    Examples
    --------
    >>> print(markdown_table(("score", "here"), [("accuracy", "0.83")]))
    | score | here |
    | --- | ---: |
    | accuracy | 0.83 |
    """
    lines = [tuple(head), ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
