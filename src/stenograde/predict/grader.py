"""The grader of a bundle: crops of each level through its graph, to probabilities and doubts; no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stenograde.errors import BundleError
from stenograde.evaluate.conformal import ConformalSets
from stenograde.evaluate.vector_scaling import VectorScaling
from stenograde.grades import Probabilities
from stenograde.levels.crop import SHOWN_BY, CropConfig, CropKind, LevelCrops, PlacedLevel, crop_levels
from stenograde.levels.crop_noise import noise_of
from stenograde.levels.point_offsets import PointOffsets
from stenograde.predict.point_finder import PointFinderEntry
from stenograde.predict.weight_files import WeightFile, check_said, open_graph
from stenograde.study import Study
from stenograde.terms import LUMBAR_MRI, Cell, Condition, Level, Severity, Side

if TYPE_CHECKING:
    import onnxruntime

CROPS, PRESENT, LEVEL, LOGITS, STRANGENESS = "crops", "present", "level", "logits", "strangeness"
"""Names of what a grader's graph takes and gives; not every graph asks for the level."""


@dataclass(frozen=True)
class GraderEntry:
    """The grader of a bundle."""

    onnx: WeightFile
    weights: WeightFile
    """Safetensors, for more training."""
    calibration: Mapping[str, VectorScaling]
    """How logits become probabilities, by condition."""
    usual_below: Mapping[str, float]
    """Limit by kind of crop: a stranger crop is unlike those the grader was trained on."""
    widths: tuple[int, ...] = ()
    """Of a net trained on phantoms, as ``kept`` and ``features``; the shape of any other is in ``training.json``."""
    kept: int = 0
    features: int = 0
    sets: Mapping[str, ConformalSets] = field(default_factory=dict)
    """Which severities cannot be excluded, by condition; a cell of which none can gets no grade. Empty for no sets."""
    noise_below: Mapping[str, float] = field(default_factory=dict)
    """Noise (:func:`stenograde.levels.crop_noise.noise_of`) above which a crop is too noisy, by kind of crop; empty for
    no limit."""
    crops: CropConfig = field(default_factory=CropConfig)
    offsets: PointOffsets = field(default_factory=PointOffsets)
    """Where the readers of its training marked points beside ours: crops are cut about those."""
    finder: PointFinderEntry | None = None
    """What looks for these points in the pictures, for the conditions for which it was nearer than the offsets."""
    takes_level: bool = False
    """Whether the graph asks which level it sees."""
    flag_grades: float = 1.0
    """Least difference of grader and measurements, in severities, that the report mentions."""
    abstain_grades: float = 1.5
    """Least difference of grader and measurements, in severities, for which there is no grade."""
    caution: str = ""
    """What a reader of its grades must know, as a phrase; stands in every report."""

    def __post_init__(self) -> None:
        for what, got, wanted in (
            ("calibration", self.calibration, tuple(Condition)),
            ("usual_below", self.usual_below, tuple(CropKind)),
            ("noise_below", self.noise_below, tuple(CropKind) if self.noise_below else ()),
            ("sets", self.sets, tuple(Condition) if self.sets else ()),
        ):
            if set(got) != {one.value for one in wanted}:
                msg = f"{what} must be given for {', '.join(wanted)}, got {', '.join(got) or 'none'}"
                raise ValueError(msg)
        if any(len(scaling.shifts) != len(Severity) for scaling in self.calibration.values()):
            msg = f"calibration must have {len(Severity)} shifts for each condition"
            raise ValueError(msg)
        if not 0 < self.flag_grades <= self.abstain_grades:
            shown = f"{self.flag_grades}, {self.abstain_grades}"
            msg = f"flag_grades must be above 0 and at most abstain_grades, got {shown}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Judged:
    """What the grader says of a cell."""

    probabilities: Probabilities
    doubt: str
    """Why the cell gets no grade; empty when it gets one."""


def open_grader(folder: Path, entry: GraderEntry) -> onnxruntime.InferenceSession:
    """Open a grader's graph and check what it takes and gives.

    Raises
    ------
    BundleError
        If it is no graph of a grader for these crops.
    """
    session = open_graph(folder / entry.onnx.file)
    taken = {one.name: one.shape[1:] for one in session.get_inputs()}
    given = [one.name for one in session.get_outputs()]
    views = [len(Side), len(CropKind)]
    wanted = {CROPS: [*views, *entry.crops.shape], PRESENT: views}
    if entry.takes_level:
        wanted[LEVEL] = [len(LUMBAR_MRI.levels)]
    if taken != wanted or given != [LOGITS, STRANGENESS]:
        msg = (
            f"{entry.onnx.file} must take {wanted} and give {LOGITS} and {STRANGENESS}, got {taken} and "
            f"{', '.join(given)}; use a bundle made for this version"
        )
        raise BundleError(msg)
    return session


def run_grader(
    session: onnxruntime.InferenceSession,
    crops: NDArray[np.float32],
    present: NDArray[np.bool_],
    levels: Sequence[Level] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run a grader.

    Parameters
    ----------
    session : InferenceSession
    crops : ndarray of shape (n, sides, kinds, slices, rows, columns), float32
    present : ndarray of shape (n, sides, kinds), bool
    levels : sequence of Level, optional
        Of each of the n, for a graph that asks for it.

    Returns
    -------
    logits : ndarray of shape (n, cells of a level, severities), float32
    strangeness : ndarray of shape (n, sides, kinds), float32
    """
    fed = {CROPS: crops, PRESENT: present.astype(np.float32)}
    if levels is not None:
        places = [LUMBAR_MRI.levels.index(level) for level in levels]
        fed[LEVEL] = np.eye(len(LUMBAR_MRI.levels), dtype=np.float32)[places]
    # one level after the other: what a level's crops become on their way takes 60 MB
    said = [
        session.run([LOGITS, STRANGENESS], {name: values[i : i + 1] for name, values in fed.items()})
        for i in range(len(crops))
    ]
    logits, strangeness = (np.concatenate(one) for one in zip(*said, strict=True))
    return logits, strangeness


def judge_levels(
    study: Study,
    levels: Mapping[Level, PlacedLevel],
    entry: GraderEntry,
    session: onnxruntime.InferenceSession,
) -> dict[Cell, Judged]:
    """Judge every cell of the levels given, which lie where readers mark them.

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If the grader says what is no number.
    """
    crops = crop_levels(study, levels, entry.crops)
    if not crops.levels:
        return {}
    logits, strangeness = run_grader(
        session, crops.values, crops.present, crops.levels if entry.takes_level else None
    )
    check_said(entry.onnx, logits, strangeness)
    noise = noise_of(crops.values)
    judged = {}
    for i, level in enumerate(crops.levels):
        for k, cell in enumerate(LUMBAR_MRI.at(level)):
            said = Probabilities(entry.calibration[cell.condition.value].probabilities(logits[i, k]))
            doubt = _absent(cell, crops) or _poor(cell, crops, strangeness[i], noise[i], entry)
            if not doubt and entry.sets:
                (doubt,) = entry.sets[cell.condition.value].abstentions([said])
            judged[cell] = Judged(said, doubt)
    return judged


def _sides_of(cell: Cell) -> tuple[Side, ...]:
    return tuple(Side) if cell.side is None else (cell.side,)


def _absent(cell: Cell, crops: LevelCrops) -> str:
    """Why no crop shows a cell; empty when one does."""
    i = crops.levels.index(cell.level)
    places = [
        (side, kind, crops.present[i, tuple(Side).index(side), tuple(CropKind).index(kind)])
        for side in _sides_of(cell)
        for kind in SHOWN_BY[cell.condition]
    ]
    if any(there for _, _, there in places):
        return ""
    return "; ".join(dict.fromkeys(crops.reasons[cell.level, side, kind] for side, kind, _ in places))


def _poor(
    cell: Cell,
    crops: LevelCrops,
    strangeness: NDArray[np.float32],
    noise: NDArray[np.float64],
    entry: GraderEntry,
) -> str:
    """Why the crops that show a cell are not to be relied on; empty when they are."""
    i = crops.levels.index(cell.level)
    for side in _sides_of(cell):
        for kind in SHOWN_BY[cell.condition]:
            j, k = tuple(Side).index(side), tuple(CropKind).index(kind)
            limit, most = entry.usual_below[kind.value], entry.noise_below.get(kind.value, math.inf)
            if crops.present[i, j, k] and noise[j, k] > most:
                return (
                    f"the {kind.role.shown} pictures at {cell.level.shown} are noisier than any the grader was "
                    f"calibrated on (noise {noise[j, k]:.2f}, limit {most:.2f}; the series' range is 4)"
                )
            if crops.present[i, j, k] and strangeness[j, k] > limit:
                return (
                    f"the {kind.role.shown} pictures at {cell.level.shown} are unlike those the grader was trained on "
                    f"(strangeness {strangeness[j, k]:.1f}, usual below {limit:.1f}): motion, noise, metal or anatomy "
                    "it does not know"
                )
    return ""
