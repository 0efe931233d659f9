"""Tells apart slices of one series that lie at the same place: echoes, Dixon images, time points, repeats."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from stenograde.dicom.read.frames import Frame


@dataclass(frozen=True, eq=False)
class Subseries:
    """Frames of a series that hold each place once: one echo, time point or repeat, or all of a plain series."""

    frames: tuple[Frame, ...]
    name: str
    """What tells it from the others, such as ``TE 20 ms``; empty when it is the whole series."""


def _echo(frame: Frame) -> Hashable:
    return frame.contrast.echo_time_ms


def _kind(frame: Frame) -> Hashable:
    return frame.contrast.image_type


def _b_value(frame: Frame) -> Hashable:
    return frame.contrast.b_value


def _time(frame: Frame) -> Hashable:
    return frame.contrast.temporal_position


def _acquisition(frame: Frame) -> Hashable:
    return frame.instance.number("AcquisitionNumber")


_TELLING: tuple[tuple[str, Callable[[Frame], Hashable]], ...] = (
    ("TE {} ms", _echo),
    ("ImageType {}", _kind),
    ("b {}", _b_value),
    ("time point {}", _time),
    ("acquisition {}", _acquisition),
)


def separate(frames: Sequence[Frame]) -> list[Subseries]:
    """Separate frames into subseries that hold each place once.

    Echo time, image type, b-value, time point and acquisition number are tried in this order; where none
    tells the frames apart, InstanceNumber numbers the repeats.

    Returns
    -------
    subseries : list of Subseries
        One, without a name, when no place repeats.
    """
    return [Subseries(tuple(group), name) for group, name in _separate(list(frames), "", _TELLING)]


def _separate(
    frames: list[Frame], name: str, telling: tuple[tuple[str, Callable[[Frame], Hashable]], ...]
) -> list[tuple[list[Frame], str]]:
    if not _repeats(frames):
        return [(frames, name)]
    for place, (form, key) in enumerate(telling):
        groups: dict[Hashable, list[Frame]] = {}
        for frame in frames:
            groups.setdefault(key(frame), []).append(frame)
        if len(groups) > 1 and len(groups) < len(frames):
            return [
                found
                for value, group in groups.items()
                for found in _separate(group, _joined(name, form.format(_shown(value))), telling[place + 1 :])
            ]
    counts: dict[Hashable, int] = {}
    repeats: dict[int, list[Frame]] = {}
    for frame in sorted(frames, key=lambda frame: frame.number):
        counts[_where(frame)] = counts.get(_where(frame), 0) + 1
        repeats.setdefault(counts[_where(frame)], []).append(frame)
    return [(group, _joined(name, f"repeat {number}")) for number, group in repeats.items()]


def _repeats(frames: list[Frame]) -> bool:
    if len({_position(frame) for frame in frames}) == len(frames):
        return False
    return len({_where(frame) for frame in frames}) < len(frames)


def _position(frame: Frame) -> Hashable:
    x, y, z = frame.position_mm
    return round(x, 2), round(y, 2), round(z, 2)


def _where(frame: Frame) -> Hashable:
    return _position(frame), tuple(round(value, 3) for value in frame.orientation)


def _joined(first: str, second: str) -> str:
    return f"{first}, {second}" if first else second


def _shown(value: Hashable) -> str:
    if isinstance(value, tuple):
        return "\\".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float | int) else "not given"
