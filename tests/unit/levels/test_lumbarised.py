"""A disc of its own below S1 casts doubt on the count from the sacrum; the thin remnant of most people does not."""

from __future__ import annotations

import numpy as np
import pytest

from stenograde.levels.canal import STATION_MM, CanalLine
from stenograde.levels.disc import Disc
from stenograde.levels.lumbarised import dark_below_s1, lumbarised_doubts

GRID_MM = 0.5
DISC_ROW, WALL_COLUMN = 60.0, 160.0
ROWS, COLUMNS = 200, 240


def canal(last_mm: float = 90.0, tilt: float = 0.0) -> CanalLine:
    """A canal 14 mm deep that runs down behind the bodies, leaning back by ``tilt`` px a row."""
    rows = np.arange(0.0, last_mm / GRID_MM, STATION_MM / GRID_MM)
    front = np.column_stack([rows, WALL_COLUMN + tilt * (rows - DISC_ROW)])
    centre, back = front + np.array([0.0, 14.0]), front + np.array([0.0, 28.0])
    tangent = np.tile([1.0, tilt], (len(rows), 1)) / np.hypot(1.0, tilt)
    return CanalLine(
        centre, tangent, front, back, np.full(len(rows), 14.0), STATION_MM * np.arange(len(rows))
    )


def lowest() -> Disc:
    return Disc(
        "L5/S1", (DISC_ROW, WALL_COLUMN - 35), (0.0, 1.0), 9.0, 34.0, 1.0, 1.0, (DISC_ROW, WALL_COLUMN)
    )


def sacrum(*bands_mm: tuple[float, float, float], tilt: float = 0.0) -> np.ndarray:
    """Marrow of signal 100 with bands (from, to, signal), mm below the lumbosacral disc along the canal."""
    rows, columns = np.indices((ROWS, COLUMNS))
    along_mm = (rows - DISC_ROW + tilt * (columns - WALL_COLUMN)) * GRID_MM / np.hypot(1.0, tilt)
    picture = np.full((ROWS, COLUMNS), 100.0, np.float32)
    for start, stop, signal in bands_mm:
        picture[(along_mm >= start) & (along_mm <= stop)] = signal
    picture[:, :30] = 0  # air
    return picture


FLUID_BRIGHT_DISC = ((30.0, 31.5, 20.0), (31.5, 37.5, 150.0), (37.5, 39.0, 20.0))


@pytest.mark.parametrize("tilt", [0.0, 0.3])
@pytest.mark.parametrize(
    ("bands", "height_mm"),
    [
        ((), 0.0),
        (((33.0, 35.0, 30.0),), 2.0),
        (((32.0, 36.0, 30.0),), 4.0),
        (FLUID_BRIGHT_DISC, 9.0),
        (((30.0, 38.0, 30.0),), 8.0),
        (((33.0, 35.0, 20.0), (20.0, 20.8, 60.0)), 2.0),
    ],
    ids=["fused", "line", "remnant", "disc on T2", "disc on T1", "line and a vessel"],
)
def test_the_disc_below_s1_is_as_high_as_it_was_drawn(bands, height_mm, tilt):
    picture = sacrum(*bands, tilt=tilt)
    heights, _ = dark_below_s1(canal(tilt=tilt), lowest(), picture, GRID_MM)

    np.testing.assert_allclose(heights, height_mm, atol=1.0)
    doubts = lumbarised_doubts(canal(tilt=tilt), lowest(), picture, GRID_MM)
    said = f"a disc {np.median(heights):.0f} mm high lies below S1, which may be lumbarised"
    assert doubts == ([said] if height_mm > 7 else [])


def test_a_remnant_that_does_not_reach_the_front_says_nothing():
    picture = sacrum(*FLUID_BRIGHT_DISC)
    front = round(WALL_COLUMN - 11 / GRID_MM)
    picture[:, :front] = 100

    assert lumbarised_doubts(canal(), lowest(), picture, GRID_MM) == []


def test_dark_places_here_and_there_are_no_disc():
    picture = sacrum()
    for number, column in enumerate(range(round(WALL_COLUMN - 20 / GRID_MM), round(WALL_COLUMN), 4)):
        row = round(DISC_ROW + (24 + 9 * (number % 3)) / GRID_MM)
        picture[row - 7 : row + 7, column : column + 4] = 20

    assert lumbarised_doubts(canal(), lowest(), picture, GRID_MM) == []


def test_brightness_and_contrast_of_the_picture_change_nothing():
    picture = sacrum(*FLUID_BRIGHT_DISC)

    known = dark_below_s1(canal(), lowest(), picture, GRID_MM)
    for changed in (7 * picture, picture - 500, 0.01 * picture + 1000):
        for one, other in zip(dark_below_s1(canal(), lowest(), changed, GRID_MM), known, strict=True):
            np.testing.assert_allclose(one, other, atol=0.5)


def test_where_the_canal_ends_early_it_is_taken_to_go_straight_on():
    heights, places = dark_below_s1(canal(45.0), lowest(), sacrum(*FLUID_BRIGHT_DISC), GRID_MM)

    np.testing.assert_allclose(heights, 9.0, atol=1.0)
    assert ((places > 29) & (places < 40)).all()


def test_what_the_picture_does_not_show_says_nothing():
    picture = sacrum(*FLUID_BRIGHT_DISC)

    for line, shown in ((canal(35.0), picture), (canal(), picture[:150])):
        assert len(dark_below_s1(line, lowest(), shown, GRID_MM)[0]) == 0
        assert lumbarised_doubts(line, lowest(), shown, GRID_MM) == []
