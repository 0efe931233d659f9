"""What is printed: nothing steers the terminal, nothing fails for want of a letter, a closed pipe is no fault."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import IO, Any, Final

_STEERING: Final = re.compile("[^\\n\\t -~\\u00a0-\\u2027\\u202f-\\u2065\\u206a-\\ud7ff\\ue000-\\U0010ffff]")
"""Control characters, marks that turn the direction of writing, and halves of characters."""


def escaped(text: str) -> str:
    r"""Return text in which what would steer a terminal is written out.

    Examples
    --------
    >>> escaped("a \x1b[31mred\x07 name") == r"a \x1b[31mred\x07 name"
    True
    """
    return _STEERING.sub(lambda found: repr(found[0])[1:-1], text)


class EscapedText:
    """A stream of text that escapes what it is given; all else is that of the stream below.

    rich writes to the stream below (:attr:`rich_proxied_file`), for it steers the terminal on purpose.
    """

    def __init__(self, below: IO[str]) -> None:
        self.rich_proxied_file = below

    def write(self, text: str) -> int:
        """Write text; letters that the stream does not have are written out, too."""
        below = self.rich_proxied_file
        encoding = getattr(below, "encoding", None) or "utf-8"
        below.write(escaped(text).encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def escaped_streams() -> Iterator[None]:
    """Escape what is printed to standard output and standard error while the body runs."""
    # a stream that is closed is None
    out: Any = sys.stdout and EscapedText(sys.stdout)
    err: Any = sys.stderr and EscapedText(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        yield


def give_up_output() -> None:
    """Let what is still to be written to standard output go nowhere, so that ending does not fail on it again."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
