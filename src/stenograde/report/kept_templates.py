"""Compiled templates of reports, kept beside the compiled modules: compiling them takes a seventh of a second."""

from __future__ import annotations

import hashlib
import pickle
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket


class KeptTemplates(FileSystemBytecodeCache):
    """Templates of a folder, compiled for one environment; kept as long as they fit it.

    A template that cannot be kept is compiled each time, and one that was kept and cannot be read is compiled anew.

    Parameters
    ----------
    folder : Path
        Where templates lie. They are kept in its ``__pycache__``, where there is one.
    made_by : str
        Source of what makes the environment: its options and filters are compiled into templates.
    """

    def __init__(self, folder: Path, made_by: str) -> None:
        versions = f"{metadata.version('jinja2')} {made_by}"
        digest = hashlib.sha256(versions.encode()).hexdigest()[:16]
        super().__init__(str(folder / "__pycache__"), f"%s.{digest}.jinja2")

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a template; it is compiled if it was not kept whole."""
        try:
            super().load_bytecode(bucket)
        except (OSError, EOFError, ValueError, TypeError, pickle.UnpicklingError):
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template, where Python keeps modules and there is room."""
        if not sys.dont_write_bytecode and sys.pycache_prefix is None:
            with suppress(OSError):
                super().dump_bytecode(bucket)
