"""Times the classical heads of the grid against plain loops of scikit-learn, on the same vectors, folds and cells.

    python benchmarks/grid.py --vectors OUT/vectors/resnet50-minmax [--width 512] [--cells 6]
    python benchmarks/grid.py --made-up 600 [--cells 3]

VECTORS is a folder of vectors that ``stenograde experiment s3`` or ``s3-fusion`` made. A made-up table has three ranked
classes for each cell, told by what few numbers have in common. All sides fit the same rows: each head with SMOTE, and
SVC with SVM-SMOTE, cell by cell and fold by fold. "Plain" are pipelines of scikit-learn and imbalanced-learn with each
library's defaults but LightGBM's least leaf of 5, as the grid has it; "plain, as ours" gives trees the grid's steps and
columns, so that what is left is work, not model. CPU seconds of one thread; macro F1 over all folds, the mean over
cells; the peak of memory of each process. Needs the extras ``train`` and ``tabular``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from imblearn.over_sampling import SMOTE, SVMSMOTE
from imblearn.pipeline import Pipeline
from lightgbm import LGBMClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier

from stenograde.tabular.balance import Balance
from stenograde.tabular.heads import CellHeads, Head, HeadConfig

ROWS = (
    (Head.SVC, Balance.SMOTE),
    (Head.SVC, Balance.SVM_SMOTE),
    (Head.LIGHTGBM, Balance.SMOTE),
    (Head.XGBOOST, Balance.SMOTE),
    (Head.BAGGED_XGBOOST, Balance.SMOTE),
)
"""Head and balancing of each row that is timed."""

Table = tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]
"""Vectors (studies, width), labels (studies, cells), folds."""


def table_of(folder: Path, width: int, cells: int, folds: int) -> Table:
    """Return mean vectors of sagittal T2 with the labels of the cells whose rarest severity is the most frequent."""
    names = json.loads((folder / "studies.json").read_text(encoding="utf-8"))["names"]
    vectors, labels = [], []
    for name in names:
        with np.load(folder / f"{name}.npz") as stored:
            if "sagittal_t2_stir" in stored:
                vectors.append(stored["sagittal_t2_stir"].astype(np.float32).mean(axis=0)[:width])
                labels.append(stored["severities"])
    every = np.stack(labels)
    rarest = [np.bincount(column[column >= 0], minlength=3).min() for column in every.T]
    chosen = np.argsort(rarest, kind="stable")[::-1][:cells]
    kept = every[:, chosen]
    split = StratifiedKFold(folds, shuffle=True, random_state=0).split(kept, kept[:, 0])
    return np.stack(vectors), kept, list(split)


def made_up(studies: int, width: int, cells: int, folds: int) -> Table:
    """Return a table of 40 hidden numbers or more, mixed and with noise; each cell ranks by four of its own."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(studies, max(40, 4 * cells)))
    features = hidden @ rng.normal(size=(hidden.shape[1], width)) + 3 * rng.normal(size=(studies, width))
    severity = hidden[:, : 4 * cells].reshape(studies, cells, 4).sum(axis=2)
    severity += 0.5 * rng.normal(size=severity.shape)
    labels = np.stack([np.digitize(one, np.quantile(one, [0.7, 0.9])) for one in severity.T], axis=1)
    split = StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels[:, 0])
    return features.astype(np.float32), labels, list(split)


def ours(table: Table, head: Head, balance: Balance) -> np.ndarray:
    """Fit and ask our heads; shape (studies, cells)."""
    features, labels, folds = table
    said = np.zeros_like(labels)
    for train, test in folds:
        heads = CellHeads(HeadConfig(head, balance)).fit(features[train], labels[train])
        said[test] = heads.scores(features[test]).argmax(axis=2)
    return said


def plain(table: Table, head: Head, balance: Balance, *, as_ours: bool = False) -> np.ndarray:
    """Do the same by loops over cells and folds, each library as it comes."""
    features, labels, folds = table
    said = np.zeros_like(labels)
    for train, test in folds:
        for cell in range(labels.shape[1]):
            y = labels[train, cell]
            fewest = int(np.bincount(y)[np.bincount(y) > 0].min())
            neighbours = max(1, min(5, fewest - 1))
            near_border = balance is Balance.SVM_SMOTE and fewest > 5
            sampler = (SVMSMOTE if near_border else SMOTE)(k_neighbors=neighbours, random_state=0)
            model = plain_model(head, as_ours=as_ours)
            steps = [("scale", StandardScaler()), ("balance", sampler), ("head", model)]
            said[test, cell] = Pipeline(steps).fit(features[train], y).predict(features[test])
    return said


def plain_model(head: Head, *, as_ours: bool) -> object:
    """Return a head with its library's defaults, on one thread; or with the grid's steps and columns."""
    grid = HeadConfig(head)
    columns = {"colsample_bytree": grid.shown_columns} if as_ours else {}
    steps = {"max_bin": grid.bins} if as_ours else {}
    boosted = XGBClassifier(n_estimators=100, random_state=0, n_jobs=1, **columns, **steps)
    return {
        Head.SVC: SVC(random_state=0),
        Head.LIGHTGBM: LGBMClassifier(
            random_state=0,
            n_jobs=1,
            verbose=-1,
            min_child_samples=5,
            **columns,
            **({"max_bin": grid.bins - 1} if as_ours else {}),
        ),
        Head.XGBOOST: boosted,
        Head.BAGGED_XGBOOST: BaggingClassifier(boosted, n_estimators=10, random_state=0),
    }[head]


SIDES = {"plain": plain, "plain, as ours": partial(plain, as_ours=True), "ours": ours}


@dataclass(frozen=True)
class Run:
    """What one side took and reached."""

    seconds: float
    peak_mb: float
    macro_f1: float


def timed(side: str, table: Table, head: Head, balance: Balance) -> Run:
    """Run one side in a process of its own."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, side, table, head, balance))
    process.start()
    theirs.close()  # so that a process that dies is noticed
    found = mine.recv()
    process.join()
    return found


def _work(pipe: Connection, side: str, table: Table, head: Head, balance: Balance) -> None:
    start = time.process_time()
    said = SIDES[side](table, head, balance)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scores = [
        f1_score(t, s, average="macro", zero_division=0) for t, s in zip(table[1].T, said.T, strict=True)
    ]
    pipe.send(Run(seconds, peak, float(np.mean(scores))))


def main() -> None:
    """Time both sides in turn and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--vectors", type=Path)
    data.add_argument("--made-up", type=int, metavar="STUDIES")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--cells", type=int, default=6)
    parser.add_argument("--folds", type=int, default=3)
    asked = parser.parse_args()
    make, data = (table_of, asked.vectors) if asked.vectors else (made_up, asked.made_up)
    table = make(data, asked.width, asked.cells, asked.folds)
    print(f"{len(table[0])} studies, {table[0].shape[1]} numbers, {asked.cells} cells, {asked.folds} folds\n")
    parts = [f"{side}: {what}" for side in SIDES for what in ("CPU s", "macro F1", "MB")]
    print(f"| head, balancing | {' | '.join(parts)} | times plain | times plain, as ours |")
    print("|---|" + "---:|" * (len(parts) + 2))
    total = dict.fromkeys(SIDES, 0.0)
    for head, balance in ROWS:
        runs = {side: timed(side, table, head, balance) for side in SIDES}
        cells = [f"{one.seconds:.1f} | {one.macro_f1:.3f} | {one.peak_mb:.0f}" for one in runs.values()]
        own = runs["ours"].seconds
        ratios = [f"{runs[side].seconds / own:.1f}" for side in ("plain", "plain, as ours")]
        print(f"| {head.value}, {balance.value} | {' | '.join(cells + ratios)} |", flush=True)
        for side, one in runs.items():
            total[side] += one.seconds
    cells = [f"{seconds:.1f} | | " for seconds in total.values()]
    ratios = [f"{total[side] / total['ours']:.1f}" for side in ("plain", "plain, as ours")]
    print(f"| all | {' | '.join(cells + ratios)} |")


if __name__ == "__main__":
    main()
