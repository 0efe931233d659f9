"""Findings of discs from the mid-sagittal slices of a study: linear heads on fixed features, and a net; no torch.

Each set of series that may be there has heads of its own, so that nothing stands in for a series that is absent. A net
that looks at the crops themselves answers some questions beside them, and the two are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.errors import BundleError
from stenograde.grades import (
    PFIRRMANN,
    PFIRRMANN_GRADES,
    DiscFinding,
    DiscFindings,
    DiscScore,
    Evidence,
    Status,
)
from stenograde.images.orient import display_turn
from stenograde.levels.disc_crop import DiscCropConfig, cut_discs, to_scale
from stenograde.levels.points import LevelPoints
from stenograde.levels.slices import Seen, slice_through
from stenograde.predict.disc_net import DiscNet, DiscNetEntry, open_disc_net
from stenograde.predict.middle_maps import MiddleMapsEntry, features_of
from stenograde.predict.weight_files import WeightFile
from stenograde.study import Series, Study
from stenograde.terms import LUMBAR_MRI, Level, Plane, Role, Weighting

if TYPE_CHECKING:
    import onnxruntime

HEADLINE = "## Findings of discs"
"""Headline of their section in a bundle's card."""

SETS: Final[tuple[tuple[str, ...], ...]] = (("t1", "t2"), ("t2",), ("t1",))
"""Sets of series that heads are for, best first."""

_ALONE: Final[Mapping[tuple[str, ...], str]] = {
    ("t2",): "answered from T2 alone; the scores told are of T1 and T2 together",
    ("t1",): "answered from T1 alone; the scores told are of T1 and T2 together",
}

ABOVE: Final = tuple(f"{PFIRRMANN}_{grade}" for grade in PFIRRMANN_GRADES[1:])
"""Questions whether a disc's Pfirrmann grade is so high or higher."""

GUESSED = "the disc was not seen; its place is taken from its neighbours"
"""Why a disc whose place was guessed has no findings."""


@dataclass(frozen=True)
class DiscEntry:
    """The heads of a bundle for findings of discs."""

    heads: WeightFile
    """Arrays of numpy, none of them of objects."""
    questions: tuple[str, ...]
    """What the heads answer, in order: findings, and :data:`ABOVE` where the Pfirrmann grade is told."""
    grid: tuple[int, int]
    """Rows and columns that the middle maps are pooled to."""
    scores: tuple[DiscScore, ...]
    """Out of fold by patient."""
    source: str
    """The patients that it was learnt from, with the licence."""
    views: tuple[DiscCropConfig, ...] = (DiscCropConfig(),)
    """What is cut out around each disc; all of one size in pixels."""
    net: DiscNetEntry | None = None
    """Answers some of the questions beside the heads; without it they answer alone."""

    @property
    def files(self) -> tuple[WeightFile, ...]:
        """Every file of the bundle that it names."""
        return (self.heads,) if self.net is None else (self.heads, self.net.onnx)

    def __post_init__(self) -> None:
        if len({(view.rows, view.columns) for view in self.views}) != 1:
            msg = f"views must be one or more of one size in pixels, got {self.views}"
            raise ValueError(msg)
        findings = [one for one in self.questions if one not in ABOVE]
        above = [one for one in self.questions if one in ABOVE]
        if set(findings) - set(DiscFinding) or above not in ([], list(ABOVE)) or not self.questions:
            known = ", ".join((*DiscFinding, *ABOVE))
            msg = f"questions must be of {known}, the latter all or none, got {', '.join(self.questions)}"
            raise ValueError(msg)


@dataclass(frozen=True, eq=False)
class DiscHead:
    """Linear heads for one set of series."""

    weights: NDArray[np.float32]
    """Shape (questions, features of all series of the set)."""
    of_level: NDArray[np.float32]
    """Shape (questions, levels): what is added at each level of the scheme."""


@dataclass(frozen=True, eq=False)
class DiscHeads:
    """Heads for each set of series, and how an expected Pfirrmann grade becomes a grade."""

    by_set: Mapping[tuple[str, ...], DiscHead]
    cuts: Mapping[tuple[str, ...], NDArray[np.float64]]
    """Expected grades from which on the next grade is told, shape (grades - 1,)."""
    shares: NDArray[np.float64]
    """Share of yes at each level among the discs that were learnt from, the answer that knows the level alone; shape
    (levels, questions)."""
    net: DiscNet | None = None
    """Answers beside the heads where there is one."""

    def logits(
        self,
        features: NDArray[np.float32],
        levels: NDArray[np.int64],
        series: tuple[str, ...],
        crops: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float64]:
        """Return logits of yes, shape (discs, questions): of the heads, or their mean with the net's where it answers.

        Parameters
        ----------
        features : ndarray of shape (discs, series of the set, features)
        levels : ndarray of shape (discs,)
            Place of each disc's level in the scheme.
        series : tuple of str
            One of :data:`SETS`.
        crops : ndarray of shape (discs, series of the set, rows, columns), optional
            What the net looks at, where there is one.
        """
        head = self.by_set[series]
        seen = features.reshape(len(features), -1).astype(np.float64)
        said = np.asarray(seen @ head.weights.T.astype(np.float64) + head.of_level.T[levels])
        if self.net is None:
            return said
        if crops is None:
            msg = "crops must be given where a net answers beside the heads, got none"
            raise ValueError(msg)
        places = list(self.net.places)
        said[:, places] = (said[:, places] + self.net.logits(crops, levels, series)) / 2
        return said


def write_heads(path: Path, heads: DiscHeads) -> None:
    """Write heads as arrays of numpy, their weights to seven significant bits, so that the file is small."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for series, head in heads.by_set.items():
        name = "+".join(series)
        arrays |= {f"{name}.weights": _shortened(head.weights), f"{name}.of_level": head.of_level}
        arrays[f"{name}.cuts"] = heads.cuts[series]
    arrays["shares"] = heads.shares
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type] # numpy's stub takes them for its options


def _shortened(weights: NDArray[np.float32]) -> NDArray[np.float16]:
    share, exponent = np.frexp(weights)
    return np.ldexp(np.rint(share * 128) / 128, exponent).astype(np.float16)


def open_heads(folder: Path, entry: DiscEntry, maps: MiddleMapsEntry, channels: int) -> DiscHeads:
    """Read heads and check their shapes.

    Raises
    ------
    BundleError
        If a head is absent or does not fit the features, or holds what is no number.
    """
    n_features = len(entry.views) * channels * entry.grid[0] * entry.grid[1]
    n_questions = len(entry.questions)
    by_set, cuts = {}, {}
    try:
        with np.load(folder / entry.heads.file, allow_pickle=False) as kept:
            for series in SETS:
                name = "+".join(series)
                weights = kept[f"{name}.weights"].astype(np.float32)
                by_set[series] = DiscHead(weights, kept[f"{name}.of_level"])
                cuts[series] = kept[f"{name}.cuts"]
            shares = kept["shares"]
    except (OSError, ValueError, KeyError) as exc:
        msg = f"{entry.heads.file} must hold heads for {', '.join('+'.join(s) for s in SETS)}, got: {exc}"
        raise BundleError(msg) from exc
    n_levels = len(LUMBAR_MRI.levels)
    for series, head in by_set.items():
        wanted = (n_questions, len(series) * n_features), (n_questions, n_levels)
        got = head.weights.shape, head.of_level.shape
        whole = all(np.isfinite(one).all() for one in (head.weights, head.of_level, cuts[series], shares))
        others = cuts[series].shape, shares.shape
        if got != wanted or others != ((len(PFIRRMANN_GRADES) - 1,), (n_levels, n_questions)) or not whole:
            msg = (
                f"heads of {'+'.join(series)} in {entry.heads.file} must have shapes {wanted} for the maps of "
                f"{maps.onnx.file} and finite numbers, got {got}; use a bundle made for this version"
            )
            raise BundleError(msg)
    net = None if entry.net is None else open_disc_net(folder, entry.net, entry.questions)
    return DiscHeads(by_set, cuts, shares, net)


def judge_discs(
    study: Study,
    points: LevelPoints,
    entry: DiscEntry,
    heads: DiscHeads,
    maps: tuple[onnxruntime.InferenceSession, MiddleMapsEntry],
) -> tuple[DiscFindings, ...]:
    """Say what is found of each disc of the lumbar scheme.

    Parameters
    ----------
    study : Study
        Its series in reach of the points.
    points : LevelPoints
    entry : DiscEntry
    heads : DiscHeads
    maps : tuple of InferenceSession and MiddleMapsEntry

    Raises
    ------
    UnreadableInstanceError
        If a slice that is needed cannot be decoded.
    BundleError
        If the maps are no numbers.
    """
    series, why = _series_of(study)
    shown = {name: _shown(one, points) for name, one in series.items()}
    wanted = [(name, level) for name, seen in shown.items() for level in seen]
    views = (*entry.views, *(() if entry.net is None else (entry.net.view,)))
    crops = {name: _crops(one, points, shown[name], views) for name, one in series.items()}
    features: dict[tuple[str, Level], NDArray[np.float32]] = {}
    if wanted:
        pictures = [crop for name, level in wanted for crop in crops[name][level][: len(entry.views)]]
        seen = features_of(*maps, np.stack(pictures), entry.grid)
        features = dict(zip(wanted, seen.reshape(len(wanted), -1), strict=True))
    uncertain = "" if points.chain.certain else "the name of the level is uncertain"
    found = []
    for place, level in enumerate(LUMBAR_MRI.levels):
        of_series = next((one for one in SETS if all((name, level) in features for name in one)), None)
        if level not in points.levels:
            reason = f"{level.shown} lies outside the imaged field or could not be found"
            found.append(DiscFindings(level, Status.NOT_IMAGED, reason))
        elif points.levels[level].disc.guessed:
            found.append(DiscFindings(level, Status.ABSTAINED, GUESSED))
        elif of_series is None:
            found.append(DiscFindings(level, Status.ABSTAINED, f"{why or 'no slice'} shows the disc"))
        else:
            of_disc = np.stack([features[name, level] for name in of_series])[None]
            looked = np.stack([crops[name][level][-1] for name in of_series])[None] if entry.net else None
            logits = heads.logits(of_disc, np.array([place]), of_series, looked)[0]
            evidence = tuple(shown[name][level].evidence(series[name]) for name in of_series)
            known = "; ".join(filter(None, (uncertain, _ALONE.get(of_series, ""))))
            found.append(_said(level, logits, entry.questions, heads.cuts[of_series], known, evidence))
    return tuple(found)


def pfirrmann_of(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of each Pfirrmann grade from the logits of :data:`ABOVE`, shape (n, grades).

    A higher grade is never more probable to be reached than a lower one: each share is at most that before it.
    """
    reached = np.minimum.accumulate(1 / (1 + np.exp(-logits)), axis=1)
    ends = np.ones((len(logits), 1))
    return -np.diff(np.concatenate([ends, reached, 0 * ends], axis=1), axis=1)


def grades_of(shares: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the Pfirrmann grade told of shares, shape (n, grades): the mean grade, cut where the grades were."""
    return 1 + np.searchsorted(cuts, shares @ np.array(PFIRRMANN_GRADES), side="right")


def _said(
    level: Level,
    logits: NDArray[np.float64],
    questions: tuple[str, ...],
    cuts: NDArray[np.float64],
    reason: str,
    evidence: tuple[Evidence, ...],
) -> DiscFindings:
    yes = dict(zip(questions, (1 / (1 + np.exp(-logits))).tolist(), strict=True))
    findings = {DiscFinding(name): share for name, share in yes.items() if name not in ABOVE}
    places = [questions.index(name) for name in ABOVE if name in questions]
    if not places:
        return DiscFindings(level, Status.GRADED, reason, findings, evidence=evidence)
    shares = pfirrmann_of(logits[None, places])
    grade = int(grades_of(shares, cuts)[0])
    return DiscFindings(level, Status.GRADED, reason, findings, tuple(shares[0].tolist()), grade, evidence)


def _series_of(study: Study) -> tuple[dict[str, Series], str]:
    """Return the series that heads can look at, and what is to be said where there is none."""
    t1, t2 = study.by_role(Role.SAGITTAL_T1), study.by_role(Role.SAGITTAL_T2_STIR)
    found = {}
    if t1 is not None:
        found["t1"] = t1
    if t2 is not None and t2.weighting is Weighting.T2:
        found["t2"] = t2
    if found:
        return found, f"no slice of {' or '.join(name.upper() for name in found)}"
    has_stir = t2 is not None
    return (
        {},
        "neither a sagittal T1 nor T2 (findings are not learnt on STIR)"
        if has_stir
        else "no sagittal T1 or T2",
    )


def _shown(series: Series, points: LevelPoints) -> dict[Level, Seen]:
    """Return the slice of a series that shows the middle of each lumbar disc."""
    seen = {}
    for level, point in points.levels.items():
        middle = points.surface.to_patient(np.asarray(point.disc.centre))[0]
        one = slice_through(series, (float(middle[0]), float(middle[1]), float(middle[2])))
        if one is not None and len(points.chain.discs) > 1:
            seen[level] = one
    return seen


def _crops(
    series: Series, points: LevelPoints, seen: Mapping[Level, Seen], views: Sequence[DiscCropConfig]
) -> dict[Level, tuple[NDArray[np.float32], ...]]:
    """Cut each disc out of the slice that shows its middle, in several views; shape (rows, columns) each."""
    names = [disc.name for disc in points.chain.discs]
    centres = points.surface.to_patient(np.array([disc.centre for disc in points.chain.discs]))
    crops: dict[Level, tuple[NDArray[np.float32], ...]] = {}
    for volume, slice_ in dict.fromkeys((one.volume, one.slice) for one in seen.values()):
        levels = [level for level, one in seen.items() if (one.volume, one.slice) == (volume, slice_)]
        turn = display_turn(volume.affine, Plane.SAGITTAL)
        affine = turn.affine(volume.affine, volume.shape[1:])
        scaled = to_scale(np.ascontiguousarray(turn.apply(volume.slices([slice_])[0])))
        _, rows_mm, columns_mm = geometry.spacing_mm(affine)
        on_slice = [(float(row), float(column)) for _, row, column in geometry.to_index(affine, centres)]
        only = [names.index(level.shown) for level in levels]
        cut = [cut_discs(scaled, (rows_mm, columns_mm), on_slice, view, only) for view in views]
        crops |= dict(zip(levels, zip(*cut, strict=True), strict=True))
    return crops
