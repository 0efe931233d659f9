"""Tells apart slices of one acquisition that lie at the same place: echoes, Dixon images, time points, repeats."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stenograde.dicom.read.decode import stored_pixels
from stenograde.dicom.read.frames import Frame, in_order
from stenograde.errors import UnreadableInstanceError

MOST_CHAINS: Final = 4
"""Up to so many repeats are told apart by their pictures."""

FEWEST_PLACES: Final = 3
"""Where fewer places repeat, their numbers are followed."""

CLEARER: Final = 0.02
"""By so much must the mean correlation of neighbours rise before the pictures overrule the numbers."""


@dataclass(frozen=True, eq=False)
class Subseries:
    """Frames of an acquisition that hold each place once: one echo, time point or repeat, or all of them."""

    frames: tuple[Frame, ...]
    name: str
    """What tells it from the others, such as ``TE 20 ms``; empty when it is the whole acquisition."""


def _acquisition_time(frame: Frame) -> Hashable:
    """Time of the acquisition in whole minutes: slices of one are seconds apart, repeats minutes."""
    text = frame.instance.text("AcquisitionTime")
    return text[:4] if text[:4].isdigit() else None


_TELLING: tuple[tuple[str, Callable[[Frame], Hashable]], ...] = (
    ("TE {} ms", lambda frame: frame.contrast.echo_time_ms),
    ("ImageType {}", lambda frame: frame.contrast.image_type),
    ("b {}", lambda frame: frame.contrast.b_value),
    ("time point {}", lambda frame: frame.contrast.temporal_position),
    ("ScanOptions {}", lambda frame: frame.contrast.options),
    ("contrast agent {}", lambda frame: "yes" if frame.contrast.has_agent else "no"),
    ("acquisition {}", lambda frame: frame.instance.number("AcquisitionNumber")),
    ("series number {}", lambda frame: frame.instance.number("SeriesNumber")),
    ("series {}", lambda frame: frame.instance.series_uid),
    ("time {}", _acquisition_time),
)
"""What may tell repeats apart, in this order, and how it is shown."""

_UNSHOWN: Final = frozenset({"time {}"})
"""Its values are of the examination, not of the protocol: the parts are numbered instead."""

_ALL_OR_NOTHING: Final = frozenset({"series {}", "time {}"})
"""What tells nothing unless it tells every place apart."""


def separate(frames: Sequence[Frame]) -> list[Subseries]:
    """Separate frames into subseries that hold each place once.

    Echo time, image type, b-value, time point, options, contrast agent, the numbers of the acquisition and
    the UID of the series are tried in this order; where none tells the frames apart, the pictures do: those
    next to each other that look alike belong together. InstanceNumber numbers what looks alike anyway.

    Returns
    -------
    subseries : list of Subseries
        One, without a name, when no place repeats.
    """
    return [Subseries(tuple(group), name) for group, name in _separate(in_order(frames), "", _TELLING)]


def _separate(
    frames: list[Frame], name: str, telling: tuple[tuple[str, Callable[[Frame], Hashable]], ...]
) -> list[tuple[list[Frame], str]]:
    if not repeats(frames):
        return [(frames, name)]
    ways = [(place, form, _grouped(frames, key)) for place, (form, key) in enumerate(telling)]
    ways = [one for one in ways if 1 < len(one[2]) < len(frames)]
    clean = (one for one in ways if not any(map(repeats, one[2].values())))
    partly = (one for one in ways if one[1] not in _ALL_OR_NOTHING)
    found = next(clean, None) or next(partly, None)
    if found is not None:
        place, form, groups = found
        said = (
            f"repeat {number}" if form in _UNSHOWN else form.format(_shown(value))
            for number, value in enumerate(groups, start=1)
        )
        return [
            part
            for group, told in zip(groups.values(), said, strict=True)
            for part in _separate(group, _joined(name, told), telling[place + 1 :])
        ]
    return [(part, _joined(name, f"repeat {n}")) for n, part in enumerate(_numbered(frames), start=1)]


def _grouped(frames: list[Frame], key: Callable[[Frame], Hashable]) -> dict[Hashable, list[Frame]]:
    groups: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return groups


def repeats(frames: Iterable[Frame]) -> bool:
    """Say whether two of the frames lie at one place."""
    places = [frame.place for frame in frames]
    return len(set(places)) < len(places)


def _numbered(frames: list[Frame]) -> list[list[Frame]]:
    """Deal the frames of each place out to repeats: by number, or by picture where that is clearer."""
    at: dict[Hashable, list[Frame]] = {}
    for frame in sorted(frames, key=lambda one: (one.number, one.instance.sop_instance_uid)):
        at.setdefault(frame.place, []).append(frame)
    places = [at[place] for place in dict.fromkeys(frame.place for frame in in_order(frames))]
    n = max(map(len, places))
    if n <= MOST_CHAINS and sum(len(one) > 1 for one in places) >= FEWEST_PLACES:
        places = _by_picture(places)
    return [[one[k] for one in places if k < len(one)] for k in range(n)]


def _by_picture(places: list[list[Frame]]) -> list[list[Frame]]:
    """Order the frames of each place so that neighbours look alike, if that is clearer than as they are."""
    try:
        pictures = [[_standardised(frame) for frame in one] for one in places]
    except UnreadableInstanceError:
        return places
    given, found = [], []
    best = [places[0]]
    last = last_given = pictures[0]
    for frames, ours in zip(places[1:], pictures[1:], strict=True):
        orders = list(permutations(range(len(ours))))
        scores = [sum(_alike(last, k, ours[one]) for k, one in enumerate(order)) for order in orders]
        order = orders[int(np.argmax(scores))]
        found.append(max(scores) / len(ours))
        given.append(sum(_alike(last_given, k, one) for k, one in enumerate(ours)) / len(ours))
        best.append([frames[one] for one in order])
        last = [ours[one] for one in order] + last[len(order) :]
        last_given = ours + last_given[len(ours) :]
    return best if np.mean(found) > np.mean(given) + CLEARER else places


def _alike(pictures: list[NDArray[np.float32]], k: int, other: NDArray[np.float32]) -> float:
    return float((pictures[k] * other).mean()) if k < len(pictures) else 0.0


def _standardised(frame: Frame) -> NDArray[np.float32]:
    """Return a coarse picture of mean 0 and deviation 1."""
    pixels = stored_pixels(frame.instance, frame.index).astype(np.float32)
    step = max(1, min(pixels.shape) // 64)
    rows, columns = (n // step * step for n in pixels.shape)
    blocks = pixels[:rows, :columns].reshape(rows // step, step, columns // step, step).mean((1, 3))
    return (blocks - blocks.mean()) / max(float(blocks.std()), 1e-6)


def _joined(first: str, second: str) -> str:
    return f"{first}, {second}" if first else second


def _shown(value: Hashable) -> str:
    if isinstance(value, tuple):
        return "\\".join(map(str, value)) or "none"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float | int) else "not given"
