"""Tables in Markdown, for a terminal, a card, a page of documentation, a paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def with_section(text: str, headline: str, section: str) -> str:
    r"""Return a text with a section under a headline (``## …``), in place of the one that it has.

    Examples
    --------
    >>> with_section("# a\n\n## b\n\nold\n\n## c\n\nkept\n", "## b", "new")
    '# a\n\n## b\n\nnew\n\n## c\n\nkept\n'
    """
    before, _, after = text.partition(f"{headline}\n")
    _, mark, rest = after.partition("\n## ")
    return f"{before.rstrip()}\n\n{headline}\n\n{section.strip()}\n{mark}{rest}".rstrip() + "\n"


def section_of(text: str, headline: str) -> str:
    r"""Return the section of a text under a headline, with it; nothing where there is none.

    Examples
    --------
    >>> section_of("# a\n\n## b\n\nhere\n\n## c\n\nthere\n", "## b")
    '\n## b\n\nhere\n'
    """
    _, mark, after = text.partition(f"{headline}\n")
    return f"\n{mark}{after.partition(chr(10) + '## ')[0].rstrip()}\n" if mark else ""


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
