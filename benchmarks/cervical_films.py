"""What a simulated neck costs, and in numbers how far its lateral films are from real ones.

python benchmarks/cervical_films.py                      # CPU seconds per neck and film, MB per neck
python benchmarks/cervical_films.py --real DIR           # also against the lateral films (PNG) of a folder
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from stenograde.datasets.picture_files import pictures_in, read_picture
from stenograde.phantom.neck import (
    OBLIQUES,
    FilmProtocol,
    NeckCohort,
    View,
    make_neck,
    plan_film,
    take_film,
    write_necks,
)

EDGE_PX = 400
"""Films are compared as squares of this edge: the middle of each, as wide as it is high."""

QUANTILES = (10, 25, 50, 75, 90)

Film = NDArray[np.float64]


def costs(necks: int) -> tuple[float, float]:
    """Return CPU seconds to paint a neck and to take a film of it; medians."""
    painted, taken = [], []
    for seed in range(necks + 1):
        start = time.process_time()
        neck = make_neck(seed)
        assert all(volume.values.size for volume in (neck.spine, neck.body, neck.head))
        painted.append(time.process_time() - start)
        for view in View:
            start = time.process_time()
            rng = np.random.default_rng(seed)
            take_film(neck, plan_film(view, FilmProtocol(), rng), rng)
            taken.append(time.process_time() - start)
    # the first makes the textures that all share
    return float(np.median(painted[1:])), float(np.median(taken))


def megabytes(necks: int) -> tuple[float, float]:
    """Return MB per neck with all four films, and with the obliques alone."""
    sizes = []
    for config in (NeckCohort(), NeckCohort(views=OBLIQUES)):
        with tempfile.TemporaryDirectory() as folder:
            write_necks(Path(folder), patients=necks, seed=1, config=config)
            sizes.append(sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()) / necks / 1e6)
    return sizes[0], sizes[1]


def square(film: NDArray[np.generic]) -> Film:
    """Return the middle of a film at one size, its grey values from 0 (first percentile) to 1 (99th)."""
    edge = min(film.shape)
    top, left = (film.shape[0] - edge) // 2, (film.shape[1] - edge) // 2
    middle = np.asarray(film, np.float64)[top : top + edge, left : left + edge]
    even = resize(middle, (EDGE_PX, EDGE_PX), order=1, anti_aliasing=True)
    low, high = np.percentile(even, (1, 99))
    return np.clip((even - low) / (high - low), 0, 1)


def figures(film: Film) -> dict[str, float]:
    """Return what a film looks like in numbers."""
    found = {f"grey, {q} %": float(np.percentile(film, q)) for q in QUANTILES}
    rows, columns = np.gradient(film)
    steep = np.hypot(rows, columns)
    found["gradient, median, 1/1000 per px"] = 1000 * float(np.median(steep))
    found["gradient, 95 %, 1/1000 per px"] = 1000 * float(np.percentile(steep, 95))
    found["slope of the power spectrum"] = _slope(film)
    return found


def _slope(film: Film) -> float:
    """Exponent of power over frequency from 0.01 to 0.2 cycles per pixel."""
    window = np.hanning(EDGE_PX)
    power = np.abs(np.fft.rfft2((film - film.mean()) * window[:, None] * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(EDGE_PX)[:, None], np.fft.rfftfreq(EDGE_PX))
    rings = np.geomspace(0.01, 0.2, 16)
    centres = np.sqrt(rings[1:] * rings[:-1])
    means = [power[(frequency >= a) & (frequency < b)].mean() for a, b in pairwise(rings)]
    return float(np.polyfit(np.log(centres), np.log(means), 1)[0])


def laterals(necks: int) -> list[Film]:
    """Return lateral films of neck phantoms."""
    films = []
    for seed in range(necks):
        rng = np.random.default_rng([seed, 1])
        neck = make_neck(seed)
        films.append(square(take_film(neck, plan_film(View.LATERAL, FilmProtocol(), rng), rng)))
    return films


def compare(real: Sequence[Film], phantom: Sequence[Film]) -> None:
    """Print each figure of real and simulated films: median, and lowest and highest."""
    print("| figure | real | phantom |\n| --- | ---: | ---: |")
    ours, theirs = [figures(film) for film in phantom], [figures(film) for film in real]
    for name in ours[0]:
        cells = []
        for side in (theirs, ours):
            values = [one[name] for one in side]
            cells.append(f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        print(f"| {name} | {cells[0]} | {cells[1]} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--necks", type=int, default=8)
    parser.add_argument("--real", type=Path, help="folder of lateral films, PNG")
    asked = parser.parse_args()
    painted, taken = costs(asked.necks)
    whole, obliques = megabytes(2)
    print(f"a neck {painted:.2f} CPU s, each film {taken:.2f} CPU s")
    print(f"a neck with four films {whole:.2f} MB, with the obliques {obliques:.2f} MB")
    if asked.real is not None:
        real = [square(read_picture(path)) for path in pictures_in(asked.real)]
        compare(real, laterals(4 * len(real)))


if __name__ == "__main__":
    main()
