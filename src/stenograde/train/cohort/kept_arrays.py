"""Arrays of a cohort on disk, mapped into memory, which a killed step finds whole and goes on filling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stenograde.dicom.read.pixels import check_pixels
from stenograde.files import whole_file
from stenograde.levels.cell_points import PointedLevel
from stenograde.levels.crop import CropConfig
from stenograde.study import Study
from stenograde.terms import Level
from stenograde.train.cohort.ingest import StudyFiles, the_study
from stenograde.train.cohort.kept_lines import KeptLines
from stenograde.workers import Progress, counted, in_processes


def kept_array(path: Path, shape: Sequence[int], dtype: DTypeLike) -> np.memmap[Any, Any]:
    """Map an array of a file for reading and writing; where there is none, one of zeros is made.

    Zeros take no room on disk until they are written over.
    """
    if not path.is_file():
        kind = np.dtype(dtype)
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": tuple(shape)}
        with whole_file(path) as file:
            np.lib.format.write_array_header_2_0(file, header)
            file.truncate(file.tell() + kind.itemsize * int(np.prod(shape)))
    return np.lib.format.open_memmap(path, "r+")


@dataclass(frozen=True)
class CutJob:
    """One study that something is cut out of; may be sent to another process."""

    study: StudyFiles
    levels: Mapping[Level, PointedLevel]
    series: tuple[str, ...]
    """Those that are cut from, as when a study is graded."""
    config: CropConfig

    def read(self) -> Study:
        """Read the study with the series that are cut from.

        Raises
        ------
        StudyError
            If it cannot be read any more.
        """
        study = check_pixels(the_study(self.study).study)
        return replace(study, series=tuple(one for one in study.series if one.uid in self.series))


Cut = Callable[[CutJob], tuple[tuple[NDArray[np.generic], ...], Mapping[str, Any]]]
"""Gives what becomes a study's part of each array, and what is noted of it."""


def cut_each(
    jobs: Sequence[CutJob],
    cut: Cut,
    arrays: Sequence[np.memmap[Any, Any]],
    kept: KeptLines,
    *,
    what: str,
    processes: int,
    progress: Progress | None,
) -> None:
    """Fill arrays, studies first, with what is cut out of the studies; those that were cut before are left as they are.

    Parameters
    ----------
    jobs : sequence of CutJob
        In the order of the arrays.
    cut : callable
        At the top of a module, for other processes.
    arrays : sequence of memmap
    kept : KeptLines
        What was done, with what is noted of it.
    what : str
        For the progress, which counts the studies.
    processes : int
    progress : callable, optional
    """
    missing = [number for number, job in enumerate(jobs) if job.study.name not in kept.records]
    made = zip(missing, in_processes(cut, [jobs[number] for number in missing], processes), strict=True)
    n = len(jobs)
    for number, (parts, noted) in counted(made, what, n, progress, before=n - len(missing)):
        for array, part in zip(arrays, parts, strict=True):
            array[number] = part
            array.flush()
        kept.add({"name": jobs[number].study.name, **noted})
