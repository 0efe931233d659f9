"""One JSON line per study in a file, added as each study is done: what a killed step resumes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stenograde.files import keep_record, kept_records


class KeptLines:
    """Records by study, on disk as soon as they are added.

    Parameters
    ----------
    path : Path
        Made with the first record. A last line that a kill has torn is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, dict[str, Any]] = {one["name"]: one for one in kept_records(path)}

    def add(self, record: Mapping[str, Any]) -> None:
        """Keep a record, which has the ``name`` of its study."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        keep_record(self.path, record)
        self.records[record["name"]] = dict(record)
