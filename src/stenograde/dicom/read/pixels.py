"""Looks at the pixels of the series that are used: black slices, values that cannot be magnitudes, misread bits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from stenograde.errors import UnreadableInstanceError
from stenograde.study import Series, Study


def check_pixels(study: Study) -> Study:
    """Return the study with what its pixels show to be wrong, in its warnings and in its series' problems.

    Only series with a role are decoded. A slice that cannot be decoded is said here, and raises where it is
    needed.
    """
    series, empty, odd = [], [], []
    for one in study.series:
        if one.role is None:
            series.append(one)
            continue
        of_one, values = _findings(one)
        series.append(replace(one, problems=(*of_one, *one.problems, *values)))
        empty += [f"{one.role.shown}: {text}" for text in of_one]
        odd += [f"{one.role.shown}: {text}" for text in values]
    first, rest = study.warnings[: len(study.lost)], study.warnings[len(study.lost) :]
    said = tuple(dict.fromkeys((*first, *empty, *rest, *odd)))
    return replace(study, series=tuple(series), warnings=said)


def _findings(series: Series) -> tuple[list[str], list[str]]:
    """Say what is missing from the pixels of a series, and what is odd about its values."""
    n_empty, n_below, n = 0, 0, 0
    notes: Counter[str] = Counter()
    for volume in series.volumes:
        try:
            pixels = volume.slices(range(volume.shape[0]))
        except UnreadableInstanceError as exc:
            return [f"its pixels cannot be decoded: {exc}"], []
        least, most = pixels.min((1, 2)), pixels.max((1, 2))
        n_empty += int((least == most).sum())
        n_below += int((least < 0).sum())
        n += len(pixels)
        notes.update(getattr(volume.source, "notes", []))
    empty = [f"{n_empty} of {n} slices are black, or of one value throughout"] if n_empty else []
    odd = [text if k == 1 else f"{text} ({k} slices)" for text, k in sorted(notes.items())]
    if n_below:
        odd.append(f"{n_below} of {n} slices hold values below zero, which a magnitude cannot be")
    return empty, odd
