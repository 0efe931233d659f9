"""A bundle's own net for discs: from crops of whichever series show a disc to its findings; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stenograde.errors import BundleError
from stenograde.levels.disc_crop import FULL_SCALE, DiscCropConfig
from stenograde.predict.weight_files import WeightFile, check_said, open_graph
from stenograde.terms import LUMBAR_MRI

if TYPE_CHECKING:
    import onnxruntime

SERIES: Final = ("t1", "t2")
"""Series that findings of discs are read from."""

CROPS, EXTRA, LOGITS = "crops", "extra", "logits"
"""Names of what the graph takes and gives."""


@dataclass(frozen=True)
class DiscNetEntry:
    """The net of a bundle that looks at crops of discs."""

    onnx: WeightFile
    view: DiscCropConfig
    """What is cut out around each disc."""
    questions: tuple[str, ...]
    """What it answers, in order; some of those of the heads beside it."""


@dataclass(frozen=True, eq=False)
class DiscNet:
    """The net, ready to run."""

    session: onnxruntime.InferenceSession
    file: WeightFile
    places: tuple[int, ...]
    """Place of each question that it answers among those of the heads."""

    def logits(
        self, crops: NDArray[np.float32], levels: NDArray[np.int64], series: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return logits of yes, shape (discs, questions that it answers).

        Parameters
        ----------
        crops : ndarray of shape (discs, series given, rows, columns), float32
            By :func:`stenograde.levels.disc_crop.cut_discs`.
        levels : ndarray of shape (discs,)
            Place of each disc's level in the scheme.
        series : sequence of str
            Which of :data:`SERIES` are given, in their order.

        Raises
        ------
        BundleError
            If the net says what is no number.
        """
        all_crops = np.zeros((len(crops), len(SERIES), *crops.shape[2:]), np.float32)
        all_crops[:, [SERIES.index(one) for one in series]] = crops * FULL_SCALE
        there = np.tile([one in series for one in SERIES], (len(crops), 1))
        (said,) = self.session.run(None, {CROPS: all_crops, EXTRA: beside(there, levels)})
        check_said(self.file, said)
        return np.asarray(said, np.float64)


def beside(there: NDArray[np.bool_], levels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what a net is told beside crops: which series are there, then the level, one-hot."""
    of_level = np.eye(len(LUMBAR_MRI.levels), dtype=np.float32)[levels]
    return np.concatenate([there.astype(np.float32), of_level], axis=1)


def open_disc_net(folder: Path, entry: DiscNetEntry, questions: Sequence[str]) -> DiscNet:
    """Open the net that answers beside heads for some questions, and check what it takes and gives.

    Raises
    ------
    BundleError
        If it is no graph of such a net.
    """
    session = open_graph(folder / entry.onnx.file)
    taken = {one.name: one.shape[1:] for one in session.get_inputs()}
    given = [one.shape[1] for one in session.get_outputs()]
    n_beside = len(SERIES) + len(LUMBAR_MRI.levels)
    wanted = {CROPS: [len(SERIES), entry.view.rows, entry.view.columns], EXTRA: [n_beside]}
    n_answers = len(entry.questions)
    if taken != wanted or given != [n_answers] or set(entry.questions) - set(questions):
        msg = (
            f"{entry.onnx.file} must take {wanted} and give {n_answers} answers, to some of {', '.join(questions)}, "
            f"got {taken} and {given}, to {', '.join(entry.questions)}; use a bundle made for this version"
        )
        raise BundleError(msg)
    return DiscNet(session, entry.onnx, tuple(list(questions).index(name) for name in entry.questions))
