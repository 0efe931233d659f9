"""The gate before grading, which asks header and picture whether this is a lumbar spine.

=====================  ==========================================  ==========================
header names           picture shows a sacrum below lumbar discs   no sacrum, sizes as lumbar
=====================  ==========================================  ==========================
lumbar spine, or none  certain                                     names uncertain
whole spine            names uncertain                             names uncertain
another part           at odds: said, names uncertain              refused
=====================  ==========================================  ==========================

A picture that shows no spine, or one whose sizes are not lumbar, is refused whatever the header names.
"""

from __future__ import annotations

from collections.abc import Iterable

from stenograde.errors import StudyError
from stenograde.levels.points import LevelPoints
from stenograde.levels.region import not_lumbar
from stenograde.study import Series, Study
from stenograde.terms import BodyPart

_BESIDE = frozenset(
    {BodyPart.THORACIC_SPINE, BodyPart.WHOLE_SPINE, BodyPart.SACRUM, BodyPart.PELVIS, BodyPart.TRUNK}
)
"""Parts that a field of the lumbar spine shows, too, or that are set by habit: they do not speak against it."""

_CURE = "choose a study of the lumbar spine, or its series with --roles"


def pass_gate(study: Study, series: Series, points: LevelPoints | None) -> tuple[str, ...]:
    """Return why the names of levels are in doubt by header and picture; none when both agree.

    Parameters
    ----------
    study : Study
    series : Series
        The sagittal series that the levels were looked for in.
    points : LevelPoints or None
        What was found there.

    Raises
    ------
    StudyError
        If it is no lumbar spine.
    """
    named = set(series.body_parts or study.body_parts)
    said = f"its header names the {_listed(named)}" if named else "its header names no part of the body"
    if points is None:
        msg = (
            f"sagittal series {series.uid} must show the lumbar canal and discs, got no such structure ({said}); "
            "check with 'stenograde inspect' that it is a lumbar MR series"
        )
        raise StudyError(msg)
    seen = not_lumbar(points)
    if seen:
        msg = f"sagittal series {series.uid} must show the lumbar spine, got {seen} ({said}); {_CURE}"
        raise StudyError(msg)
    own, whole = set(series.body_parts), set(study.body_parts)
    if BodyPart.LUMBAR_SPINE in own or (BodyPart.LUMBAR_SPINE in whole and own <= _BESIDE):
        others = own - _BESIDE if len(own) > 1 else set()
        if BodyPart.LUMBAR_SPINE not in whole:
            others |= whole - _BESIDE
        others -= {BodyPart.LUMBAR_SPINE}
        return (f"the header names the {_listed(others)} beside the lumbar spine",) if others else ()
    if not named:
        return ()
    if BodyPart.WHOLE_SPINE in named:
        return ("the header names the whole spine, of which the levels are counted from below alone",)
    if not points.chain.sacrum_seen:
        msg = (
            f"sagittal series {series.uid} must be of the lumbar spine, got the {_listed(named)} by its header, and no "
            f"sacrum in the picture; {_CURE}"
        )
        raise StudyError(msg)
    return (
        f"header and picture are at odds: the header names the {_listed(named)}, the picture shows a sacrum below "
        f"{len(points.chain.discs)} discs",
    )


def _listed(parts: Iterable[BodyPart]) -> str:
    wanted = set(parts)
    return " and ".join(part.value for part in BodyPart if part in wanted)
