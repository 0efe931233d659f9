"""One JSON line per study in a file, added as each study is done: what a killed step resumes from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class KeptLines:
    """Records by study, on disk as soon as they are added.

    Parameters
    ----------
    path : Path
        Made with the first record. A last line that a kill has torn is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else ():
            if not line.endswith(b"\n"):
                break
            record = json.loads(line)
            self.records[record["name"]] = record
            whole += len(line)
        if path.is_file() and path.stat().st_size > whole:
            os.truncate(path, whole)

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a record, which has the ``name`` of its study."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.records[record["name"]] = dict(record)
