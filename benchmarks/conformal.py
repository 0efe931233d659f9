"""Whether conformal sets cover each class as often as they say, and how many wrong labels the audit finds.

    python benchmarks/conformal.py [--cohorts 200] [--predictions FOLDER --labels train.csv]

On simulated cohorts (``simulated_cohorts.py``), and, where FOLDER holds them, on real out-of-fold predictions: those
of the 4th place of RSNA 2024 (``rsna2024_4th_place_oof.csv.gz``, one model per condition) and of a foraminal grader
with four grades (``lss_foraminal_4grade_oof.csv.gz``; its Normal and Mild are merged). Tables go to standard output.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from simulated_cohorts import PREVALENCES, Cohort, simulate

from stenograde.datasets.rsna2024 import read_labels
from stenograde.datasets.submission import read_submissions
from stenograde.datasets.tables import read_rows
from stenograde.evaluate.conformal import coverage_by_class, fit_conformal
from stenograde.evaluate.label_audit import audit_cells, audit_labels
from stenograde.terms import Cell

NOMINAL, SURER = 0.9, 0.95
"""Coverage asked for; the second on real predictions only."""
SIZES = (300, 1975)
"""Patients of a simulated cohort to fit on; the second as many as RSNA 2024 has."""
NEW_PATIENTS = 1000
"""Patients of a simulated cohort to test on."""
PLANTED, LOOKED_AT = 0.03, 0.05
"""Share of labels made wrong, and of the ranking that is looked at."""
MODELS = {
    "canal": "yu4u_sagittal2_axial",
    "foramen": "yu4u_sagittal1_s1_swint",
    "recess": "yu4u_axial_swint",
}
"""The model of the 4th place that is used, by condition."""

Pair = tuple[Cohort, Cohort]


def covered(pairs: Iterator[Pair], per: str, coverage: float = NOMINAL) -> str:
    """Return the cells of a table's row: coverage by class, set sizes."""
    per_cell, per_patient, sizes = [], [], []
    for fitted, tested in pairs:
        limits = fit_conformal(
            fitted.probabilities, fitted.truth, fitted.patients, coverage=coverage, per=per
        )
        sets = limits.sets(tested.probabilities)
        found = coverage_by_class(sets, tested.truth, tested.patients)
        per_cell.append([one.per_cell for one in found])
        per_patient.append([one.per_patient for one in found])
        sizes.append([sets.sum(axis=1).mean(), sets.all(axis=1).mean()])
    cells, people, size = (100 * np.nanmean(rows, axis=0) for rows in (per_cell, per_patient, sizes))
    numbers = [" / ".join(f"{one:.1f}" for one in of) for of in (cells, people)]
    return f"{numbers[0]} | {numbers[1]} | {size[0] / 100:.2f} | {size[1]:.1f}"


def halves(cohort: Cohort, rng: np.random.Generator, repeats: int) -> Iterator[Pair]:
    """Give one half of the patients and the other, again and again."""
    n_patients = cohort.patients.max() + 1
    for _ in range(repeats):
        first = (rng.permutation(n_patients) < n_patients // 2)[cohort.patients]
        yield tuple(
            Cohort(cohort.probabilities[of], cohort.truth[of], cohort.patients[of]) for of in (first, ~first)
        )


def any_other(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each cell another severity, whichever."""
    return (truth + rng.integers(1, 3, truth.size)) % 3


def a_neighbour(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each cell a severity beside its own."""
    return np.where(truth == 1, 2 * rng.integers(0, 2, truth.size), 1)


def _planted(
    cohorts: dict[str, Cohort], wrong: Callable[..., np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities, labels with wrong ones among them, which are wrong, and the condition, of all cells."""
    truth = np.concatenate([one.truth for one in cohorts.values()])
    groups = np.repeat(list(cohorts), [one.truth.size for one in cohorts.values()])
    planted = np.zeros(truth.size, bool)
    planted[rng.choice(truth.size, round(PLANTED * truth.size), replace=False)] = True
    stated = np.where(planted, wrong(truth, rng), truth)
    shares = np.concatenate([one.probabilities for one in cohorts.values()])
    return shares, stated, planted, groups


def share_found(
    cohorts: dict[str, Cohort], wrong: Callable[..., np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Return which share of planted wrong labels is in the top of the ranking: of all conditions, of each."""
    shares, stated, planted, groups = _planted(cohorts, wrong, rng)
    found = []
    for chosen in (np.ones(planted.size, bool), *(groups == name for name in cohorts)):
        ranked = audit_labels(shares[chosen], stated[chosen], groups=groups[chosen])
        top = [one.place for one in ranked[: round(LOOKED_AT * len(ranked))]]
        found.append(planted[chosen][top].sum() / planted[chosen].sum())
    return np.array(found)


def share_found_in_context(
    cohorts: dict[str, Cohort],
    whose: list[tuple[str, Cell]],
    wrong: Callable[..., np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the same as :func:`share_found`, of one ranking that looks at the rest of the patient.

    Parameters
    ----------
    whose : list of (study, cell)
        Of the cells of all cohorts.
    """
    shares, stated, planted, groups = _planted(cohorts, wrong, rng)
    studies, cells = zip(*whose, strict=True)
    order = np.array([one.place for one in audit_cells(shares, stated, cells, studies)])
    found = []
    for chosen in (np.ones(planted.size, bool), *(groups == name for name in cohorts)):
        ranked = order[chosen[order]]
        found.append(planted[ranked[: round(LOOKED_AT * len(ranked))]].sum() / planted[chosen].sum())
    return np.array(found)


def real_cohorts(folder: Path, labels: Path) -> tuple[dict[str, Cohort], list[tuple[str, Cell]]]:
    """Return the out-of-fold predictions of the 4th place of RSNA 2024 beside the labels, by condition; and whose."""
    truth = read_labels(labels)
    cohorts, whose = {}, []
    for name, model in MODELS.items():
        said = read_submissions(folder / "rsna2024_4th_place_oof.csv.gz", model=model)[model]
        cells = [
            (shares, truth[study][cell].rank, study, cell)
            for study, of_study in said.items()
            for cell, shares in of_study.items()
            if cell in truth[study]
        ]
        *columns, of = zip(*cells, strict=True)
        cohorts[name] = _cohort(*columns)
        whose += zip(columns[-1], of, strict=True)
    return cohorts, whose


def real_foramina(folder: Path) -> Cohort:
    """Return the out-of-fold predictions of the foraminal grader, Normal and Mild merged."""
    columns = ("prob_0_normal", "prob_1_mild", "prob_2_moderate", "prob_3_severe")
    rows = read_rows(folder / "lss_foraminal_4grade_oof.csv.gz", ("patient_id", "severity", *columns))
    four = np.array([[float(row[name]) for name in columns] for row in rows])
    shares = np.column_stack([four[:, 0] + four[:, 1], four[:, 2:]])
    truth = [max(int(row["severity"]) - 1, 0) for row in rows]
    return _cohort(shares / shares.sum(1, keepdims=True), truth, [row["patient_id"] for row in rows])


def _cohort(shares: object, truth: object, patients: object) -> Cohort:
    return Cohort(np.array(shares), np.array(truth), np.unique(patients, return_inverse=True)[1])


def print_coverage(cohorts: int, real: dict[str, Cohort]) -> None:
    """Print the coverage of all cohorts."""
    print("coverage; Normal/Mild / Moderate / Severe, %\n")
    print(
        "| severities as in | condition | patients | asked | per | of cells | of patients | size | all three, % |"
    )
    print("|---|---|---:|---:|---|---:|---:|---:|---:|")
    for prevalence, conditions in PREVALENCES.items():
        for name, condition in conditions.items():
            for size in SIZES:
                for per in ("cell", "patient"):
                    rng = np.random.default_rng([SIZES.index(size), 1])
                    pairs = (
                        (simulate(condition, size, rng), simulate(condition, NEW_PATIENTS, rng))
                        for _ in range(cohorts)
                    )
                    row = f"| {prevalence} | {name} | {size} | {100 * NOMINAL:.0f} | {per} |"
                    print(row, covered(pairs, per), "|", flush=True)
    for name, cohort in real.items():
        n_patients = (cohort.patients.max() + 1) // 2
        for coverage, per in ((NOMINAL, "cell"), (NOMINAL, "patient"), (SURER, "cell")):
            pairs = halves(cohort, np.random.default_rng(2), cohorts)
            row = f"| real | {name} | {n_patients} | {100 * coverage:.0f} | {per} |"
            print(row, covered(pairs, per, coverage), "|", flush=True)


def print_audit(
    cohorts: int, real: dict[str, Cohort], whose: list[tuple[str, Cell]], foramina: dict[str, Cohort]
) -> None:
    """Print how many planted labels the audit finds."""
    share = f"{100 * PLANTED:.0f} % of labels made wrong, share of them in the top {100 * LOOKED_AT:.0f} %"
    print(f"\n{share}, %\n")
    print("| predictions | wrong labels are | all conditions | canal | foramen | recess |")
    print("|---|---|---:|---:|---:|---:|")
    for wrong in (any_other, a_neighbour):
        words = (wrong.__doc__ or "").removeprefix("Return for each cell ").rstrip(".")
        for prevalence, conditions in PREVALENCES.items():
            rng, rows = np.random.default_rng(3), []
            for _ in range(cohorts):
                made = {name: simulate(condition, SIZES[-1], rng) for name, condition in conditions.items()}
                rows.append(share_found(made, wrong, rng))
            _print_found(f"simulated, {prevalence}", words, np.mean(rows, axis=0))
        if real:
            rng = np.random.default_rng(3)
            rows = [share_found(real, wrong, rng) for _ in range(cohorts)]
            _print_found("RSNA 2024, 4th place, each cell alone", words, np.mean(rows, axis=0))
            same = np.random.default_rng(3)
            rows = [share_found_in_context(real, whose, wrong, same) for _ in range(cohorts)]
            _print_found("RSNA 2024, 4th place, with the rest of the patient", words, np.mean(rows, axis=0))
            rows = [share_found(foramina, wrong, rng)[1:] for _ in range(cohorts)]
            _print_found(
                "foraminal grader, four grades", words, np.array([np.nan, np.nan, np.mean(rows), np.nan])
            )


def _print_found(name: str, words: str, found: np.ndarray) -> None:
    print(
        f"| {name} | {words} | {' | '.join(f'{100 * one:.1f}'.replace('nan', '') for one in found)} |",
        flush=True,
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cohorts", type=int, default=200, help="simulated cohorts, and halvings of real ones"
    )
    parser.add_argument("--planted", type=int, default=10, help="times that wrong labels are planted")
    parser.add_argument("--predictions", type=Path, help="folder of real out-of-fold predictions")
    parser.add_argument("--labels", type=Path, help="train.csv of RSNA 2024")
    asked = parser.parse_args()
    real, whose, foramina = {}, [], {}
    if asked.predictions and asked.labels:
        real, whose = real_cohorts(asked.predictions, asked.labels)
        foramina = {"foramen, four grades": real_foramina(asked.predictions)}
    print_coverage(asked.cohorts, {**real, **foramina})
    print_audit(asked.planted, real, whose, foramina)


if __name__ == "__main__":
    main()
