"""Measurements of each level in mm on the mid-sagittal surface, each with the points it was taken between."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stenograde import geometry
from stenograde.grades import CanalProfile, Measurement, Point
from stenograde.levels.canal import STATION_MM, CanalLine
from stenograde.levels.disc import Disc
from stenograde.levels.points import LevelPoint, LevelPoints, disc_station
from stenograde.terms import LUMBAR_MRI, Level, Quantity, Structure

AT_DISC_MM = 3.0
"""The diameter at a disc is taken at the narrowest place within this distance of its plane, along the canal, mm.

Narrowest against the straight line between its neighbours: at L5/S1 the sac tapers, and its lowest place within reach
would always be the narrowest.
"""

AT_BODY_MM = 3.0
"""The diameter at a vertebra is the median within this distance of its middle height, mm."""

USUAL_PITCH_MM = 36.0
"""Distance between neighbouring discs where only one was found, mm."""

DARK_PERCENTILE = 5.0
"""Signal below this percentile of the surface is taken for zero."""


def measure_canal(points: LevelPoints, intensities: NDArray[np.float32] | None) -> tuple[Measurement, ...]:
    """Measure canal and disc at each imaged level.

    Parameters
    ----------
    points : LevelPoints
    intensities : ndarray of shape (slices, rows, columns), float32, optional
        Signal of a fluid-bright (T2 or STIR) series on the grid of ``points.surface``; None when there is none.

    Returns
    -------
    measurements : tuple of Measurement
        The canal's anteroposterior diameter at the disc and at the middle of the vertebrae above and below, the
        ratio of the first to the mean of the others, disc height and CSF signal ratio. What could not be
        measured is left out: nothing is measured where the canal's middle was not acquired.
    """
    signal = None if intensities is None else _canal_signal(points, intensities)
    found: list[Measurement] = []
    for level in LUMBAR_MRI.levels:
        if level in points.levels:
            found += _measure_level(points, points.levels[level], signal)
    return tuple(found)


def canal_profile(points: LevelPoints) -> CanalProfile:
    """Anteroposterior diameter along the whole canal, for drawing."""
    canal = points.measured
    levels = tuple(
        (level, float(canal.distance_mm[point.station])) for level, point in sorted(points.levels.items())
    )
    centre = points.surface.to_patient(canal.centre)
    return CanalProfile(canal.distance_mm, canal.diameter_mm, centre, levels)


def _measure_level(
    points: LevelPoints, point: LevelPoint, signal: NDArray[np.float64] | None
) -> list[Measurement]:
    canal, level = points.measured, point.level
    found = []
    above, below = _body_stations(points, point)
    bodies = {
        Quantity.CANAL_AP_DIAMETER_ABOVE: _at_body(canal, above),
        Quantity.CANAL_AP_DIAMETER_BELOW: _at_body(canal, below),
    }
    at_disc = _narrowest(
        canal, point.station, [station for station in bodies.values() if station is not None]
    )
    if at_disc is not None:
        found.append(_diameter(points, level, Quantity.CANAL_AP_DIAMETER, at_disc))
    for quantity, station in bodies.items():
        if station is not None:
            found.append(_diameter(points, level, quantity, station))
    reference = [float(canal.diameter_mm[s]) for s in bodies.values() if s is not None]
    if at_disc is not None and reference:
        ratio = float(canal.diameter_mm[at_disc]) / float(np.mean(reference))
        found.append(Measurement(Quantity.CANAL_AP_RATIO, level, ratio, _walls(points, at_disc)))
    if np.isfinite(point.disc.height_mm):
        ends = _disc_height_points(points, point.disc)
        found.append(Measurement(Quantity.DISC_HEIGHT, level, point.disc.height_mm, ends))
    csf = _csf_ratio(signal, at_disc, above, below) if signal is not None else None
    if csf is not None and at_disc is not None:
        found.append(Measurement(Quantity.CSF_SIGNAL_RATIO, level, csf, _walls(points, at_disc)))
    return found


def _narrowest(canal: CanalLine, station: int, bodies: list[int]) -> int | None:
    reach = round(AT_DISC_MM / STATION_MM)
    near = np.arange(max(0, station - reach), min(len(canal.diameter_mm), station + reach + 1))
    diameters = canal.diameter_mm[near]
    if not np.isfinite(diameters).any():
        return None
    usual = np.interp(near, bodies, canal.diameter_mm[bodies]) if len(bodies) > 1 else np.ones(len(near))
    return int(near[np.nanargmin(diameters / usual)])


def _body_stations(points: LevelPoints, point: LevelPoint) -> tuple[int | None, int | None]:
    """Stations at the middle heights of the vertebrae above and below a disc: half way to the next disc."""
    stations = [disc_station(disc, points.canal) for disc in points.chain.discs]
    place = points.chain.discs.index(point.disc)
    steps = [lower - upper for lower, upper in pairwise(stations) if lower > upper]
    usual = float(np.median(steps)) if steps else USUAL_PITCH_MM / STATION_MM
    here = stations[place]
    above = stations[place + 1] if place + 1 < len(stations) else here - usual
    below = stations[place - 1] if place > 0 else here + usual
    last = len(points.canal.diameter_mm) - 1
    middles = (round((here + above) / 2), round((here + below) / 2))
    inside = [station if 0 <= station <= last else None for station in middles]
    return inside[0], inside[1]


def _at_body(canal: CanalLine, station: int | None) -> int | None:
    """Station near a vertebra's middle whose diameter is the median there; None beside the canal's ends."""
    if station is None:
        return None
    reach = round(AT_BODY_MM / STATION_MM)
    if station < reach // 2 or station > len(canal.diameter_mm) - 1 - reach // 2:
        return None
    start = max(0, station - reach)
    window = canal.diameter_mm[start : station + reach + 1]
    if not np.isfinite(window).any():
        return None
    return start + int(np.nanargmin(np.abs(window - np.nanmedian(window))))


def _diameter(points: LevelPoints, level: Level, quantity: Quantity, station: int) -> Measurement:
    value = float(points.measured.diameter_mm[station])
    return Measurement(quantity, level, value, _walls(points, station))


def _walls(points: LevelPoints, station: int) -> tuple[Point, ...]:
    canal = points.canal
    return tuple(
        geometry.as_point(p)
        for p in points.surface.to_patient(np.stack([canal.front[station], canal.back[station]]))
    )


def _disc_height_points(points: LevelPoints, disc: Disc) -> tuple[Point, ...]:
    down = disc.down * (disc.height_mm / 2 / points.surface.marked.grid_mm)
    centre = np.asarray(disc.centre)
    return tuple(
        geometry.as_point(p) for p in points.surface.to_patient(np.stack([centre - down, centre + down]))
    )


def _canal_signal(points: LevelPoints, intensities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean signal across the canal at each station, shape (stations,); NaN where the walls are unknown."""
    surface, canal = points.surface, points.measured
    picture = surface.sample(intensities)
    inside = surface.structures[Structure.CANAL.code] > 0.2
    dark = float(np.percentile(picture, DARK_PERCENTILE))
    signal = np.full(len(canal.centre), np.nan)
    shares = np.linspace(0.1, 0.9, 9)
    for station in np.flatnonzero(np.isfinite(canal.diameter_mm)):
        front, back = canal.front[station], canal.back[station]
        at = np.rint(front + shares[:, None] * (back - front)).astype(int)
        at = np.clip(at, 0, np.subtract(picture.shape, 1))
        values = picture[at[:, 0], at[:, 1]][inside[at[:, 0], at[:, 1]]]
        if values.size:
            signal[station] = float(values.mean()) - dark
    return signal


def _csf_ratio(
    signal: NDArray[np.float64], at_disc: int | None, above: int | None, below: int | None
) -> float | None:
    """Signal of the canal at the disc against that at the neighbouring vertebrae."""
    if at_disc is None:
        return None
    reach = round(AT_BODY_MM / STATION_MM)
    means = []
    for station in (above, below):
        if station is None:
            continue
        window = signal[max(0, station - reach) : station + reach + 1]
        if np.isfinite(window).any():
            means.append(float(np.nanmean(window)))
    window = signal[max(0, at_disc - reach // 2) : at_disc + reach // 2 + 1]
    if not means or not np.isfinite(window).any() or max(means) <= 0:
        return None
    return max(0.0, float(np.nanmean(window)) / max(means))
