"""Graded cohorts that were made up, without pictures: what a grader said, beside labels drawn with it."""

from __future__ import annotations

import numpy as np

from stenograde.grades import Probabilities, Status
from stenograde.grading.cohort import GradedStudy
from stenograde.terms import LUMBAR_MRI, Condition, Level, Role, Severity


def made_study(name: str, rng: np.random.Generator) -> GradedStudy:
    """A study whose labels are drawn from what is said of it; L1/L2 is abstained from, foramina are drafts."""
    said = {cell: Probabilities(rng.dirichlet((1.2, 0.6, 0.5))) for cell in LUMBAR_MRI.cells}
    severities = {cell: tuple(Severity)[int(rng.choice(3, p=shares))] for cell, shares in said.items()}
    reasons = {}
    for cell in LUMBAR_MRI.cells:
        if cell.level is Level.L1_L2:
            reasons[cell] = (Status.ABSTAINED, "the grader and the ruler are 1.7 severities apart")
        elif cell.condition is Condition.NEURAL_FORAMINAL_NARROWING:
            reasons[cell] = (Status.DRAFT, "the network has seen phantoms only")
    return GradedStudy(
        name,
        severities,
        said=said,
        graded=frozenset(set(LUMBAR_MRI.cells) - set(reasons)),
        reasons=reasons,
        point_errors_mm={level: float(rng.gamma(2.0, 1.0)) for level in LUMBAR_MRI.levels},
        n_drafts=sum(status is Status.DRAFT for status, _ in reasons.values()),
        seconds=float(rng.uniform(2, 4)),
        roles=tuple(Role),
        scanner="SIEMENS Aera",
        field_t=1.5 if rng.random() < 0.6 else 3.0,
    )


def made_cohort(n: int, seed: int = 0) -> tuple[GradedStudy, ...]:
    """Several of them, numbered from 1001."""
    rng = np.random.default_rng(seed)
    return tuple(made_study(str(1001 + k), rng) for k in range(n))
