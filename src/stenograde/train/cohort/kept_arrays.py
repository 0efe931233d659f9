"""Arrays of a cohort on disk, mapped into memory, which a killed step finds whole and goes on filling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from stenograde.files import whole_file


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
