"""Logs of a fit: a CSV always, TensorBoard's where that is installed."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from stenograde.train.loop.fit_config import EpochRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

CSV_LOG = "history.csv"
"""One row per epoch."""

TENSORBOARD_LOG = "tensorboard"
"""Folder for ``tensorboard --logdir``."""


class FitLog:
    """Writes the records of a fit into its folder, and to TensorBoard where there is a writer."""

    def __init__(self, folder: Path, writer: SummaryWriter | None) -> None:
        self.folder, self.writer = folder, writer

    def write(self, history: Sequence[EpochRecord]) -> None:
        """Write the whole history as CSV, and its last record for TensorBoard."""
        write_history(self.folder / CSV_LOG, history)
        if self.writer is None:
            return
        record = history[-1]
        for name, value in asdict(record).items():
            if name != "epoch" and value is not None:
                self.writer.add_scalar(name, value, record.epoch)
        self.writer.flush()


@contextmanager
def open_log(folder: Path, *, epochs_done: int) -> Iterator[FitLog]:
    """Open the logs of a fit with ``epochs_done`` in a folder; what TensorBoard holds of later epochs is hidden."""
    folder.mkdir(parents=True, exist_ok=True)
    if find_spec("tensorboard") is None:
        yield FitLog(folder, None)
        return
    # only where it is installed
    from torch.utils.tensorboard.writer import SummaryWriter  # noqa: PLC0415

    writer = SummaryWriter(str(folder / TENSORBOARD_LOG), purge_step=epochs_done + 1)
    try:
        yield FitLog(folder, writer)
    finally:
        writer.close()


def write_history(path: Path, history: Sequence[EpochRecord]) -> None:
    """Write records as CSV, whole or not at all; what is None is left empty."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(EpochRecord)])
        rows.writeheader()
        rows.writerows(asdict(record) for record in history)
    partial.replace(path)
