"""How fast a cohort of phantoms is written, and how large it is.

python benchmarks/phantom.py --patients 4 --workers 1
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from stenograde.phantom import ContrastMode, ProtocolMix, write_cohort


def main() -> None:
    """Print seconds, CPU seconds and MB per study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--contrast", type=ContrastMode, help="a protocol drawn for each patient")
    args = parser.parse_args()
    mix = ProtocolMix(args.contrast) if args.contrast else None
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        write_cohort(Path(folder), patients=args.patients, seed=7, protocol=mix, workers=args.workers)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.dcm")) / 1e6
    per = args.patients
    print(
        f"{per / wall:.3f} studies per second ({wall / per:.1f} s each, {cpu / per:.1f} s of this process's CPU)"
    )
    print(f"{size / per:.1f} MB per study")


if __name__ == "__main__":
    main()
