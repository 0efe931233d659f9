"""The way from RSNA 2024's folder to grades, in numbers: reading, cutting, fitting, grading, beside the winners' cost.

    stenograde phantom --patients 40 --seed 5 --out COHORT
    python benchmarks/rsna.py COHORT --work FOLDER

Core-seconds are CPU time of all threads. What the winners' nets cost on this kind of core is from their published
code with random weights: see COST. Needs the extras 'train' and 'weights'.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from stenograde.config import build
from stenograde.datasets.study_files import patient_folders
from stenograde.nets.level_transfer import FromMaps, LevelTransfer, Mixed, TransferGraph
from stenograde.predict.bundle import default_bundle
from stenograde.train.cohort.batches import level_batches, plain_loss
from stenograde.train.cohort.config import CohortTraining, read_size
from stenograde.train.cohort.cut import CohortCrops, cut_cohort
from stenograde.train.cohort.find_points import find_points
from stenograde.train.cohort.folds import device_of, source_of
from stenograde.train.cohort.ingest import ingest
from stenograde.train.cohort.marked_views import cut_views
from stenograde.train.cohort.places import find_places

COST = {
    "sixth place, sagittal part (TheoViel)": (79.1, 5.2),
    "seventh place, two-stage part (lhwcv)": (1010.0, 62.8),
}
"""Core-seconds (torch eager, 32 bits) and TFLOP per study of published nets."""


def timed(work: Callable[[], object]) -> tuple[object, float, float]:
    """Return what work gives, its wall seconds and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    made = work()
    return made, time.perf_counter() - wall, time.process_time() - cpu


def steps_per_second(crops: CohortCrops, config: CohortTraining, work: Path, n_steps: int) -> float:
    """Return training steps of a fold per second, on the device there is."""
    device = device_of("auto")
    net = LevelTransfer(config.net).to(device)
    source = source_of(crops, net, work, config, None)
    fit = replace(config.fit, batch=min(config.fit.batch, 5 * len(crops.names)))
    batches = level_batches(source.changed, range(len(crops.names)), fit, config.mixing)
    model = Mixed(FromMaps(net) if source.is_maps else net).to(device).train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    done, start = 0, 0.0
    for epoch in range(10_000):
        for batch in batches.batches(epoch, 0, 1):
            if done == 2:  # the first two warm up
                start = time.perf_counter()
            moved = {name: one.to(device) for name, one in batch.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=fit.precision == "bf16"):
                output = model(moved["input"], moved["extra"])
            loss = plain_loss(output.float(), moved)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            done += 1
            if done == n_steps + 2:
                if device.type == "cuda":
                    torch.cuda.synchronize()
                return n_steps / (time.perf_counter() - start)
    raise AssertionError


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="scratch folder; emptied first")
    parser.add_argument("--size", choices=("quick", "published"), default="quick")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    shutil.rmtree(asked.work, ignore_errors=True)
    config, base = build(CohortTraining, read_size(asked.size)), default_bundle()
    n = len(patient_folders(asked.cohort))
    print(f"{n} studies, size {asked.size}, {asked.processes} process(es), {device_of('auto')}")
    many = {"processes": asked.processes}
    read, wall, _ = timed(lambda: ingest(asked.cohort, asked.work, **many))
    print(f"ingest            {n / wall:8.1f} studies/s")
    places, wall, _ = timed(lambda: find_places(read, asked.work, base, **many))
    print(f"levels found      {n / wall:8.2f} studies/s")
    views, wall, _ = timed(lambda: cut_views(read, places, asked.work, config.points.crops, **many))
    print(f"views cut         {n / wall:8.2f} studies/s")
    points, wall, _ = timed(lambda: find_points(views, places, asked.work, config.points))
    print(f"points learnt     {wall:8.0f} s for {config.points.folds} folds")
    crops, wall, _ = timed(lambda: cut_cohort(read, places, points.points, asked.work, config.crops, **many))
    print(f"crops cut         {n / wall:8.2f} studies/s, {crops.set.crops.nbytes / n / 1e6:.1f} MB a study")
    rate = steps_per_second(crops, config, asked.work, asked.steps)
    print(f"training          {rate:8.2f} steps/s of {config.fit.batch} levels (first step of a fold)")
    net = TransferGraph([LevelTransfer(config.net) for _ in range(config.folds)]).eval()
    values = torch.from_numpy(np.zeros((5, 2, 4, *config.crops.shape), np.float32))
    fed = (values, torch.ones(5, 2, 4), torch.eye(5))
    with torch.inference_mode(), FlopCounterMode(display=False) as flops:
        net(*fed)
    with torch.inference_mode():
        _, wall, cpu = timed(lambda: [net(*fed) for _ in range(3)])
    cost = cpu / 3
    print(
        f"grading nets      {cost:8.2f} core-s, {flops.get_total_flops() / 1e12:.4f} TFLOP a study, {wall / 3:.2f} s"
    )
    for name, (seconds, tflop) in COST.items():
        print(
            f"  {name}: {seconds:.0f} core-s, {tflop} TFLOP a study: "
            f"{seconds / cost:.0f} times, {tflop * 1e12 / flops.get_total_flops():.0f} times ours"
        )


if __name__ == "__main__":
    main()
