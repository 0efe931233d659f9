"""Preparation of RSNA 2024 for the five-block CNN, after Garcia de Celis and Bukaita.

Tables are joined, each axial slice gets a level, slices become 8-bit pictures by grayscale normalisation in one
folder per class, with a manifest; the report states how many augmented copies would balance the classes. The copies
themselves are made in training, after the split: copies on disk would be split like separate pictures, which puts
twins of test pictures into the training part.

The document does not say how many slices it took per level. It had 2,753 pictures, of which 88, 8 and 4 % were
Normal/Mild, Moderate and Severe: these are the shares of the levels themselves, so one slice per level fits best.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from PIL import Image

from stenograde.datasets.rsna2024 import CLASSES, AxialStudy, axial_samples, read_axial_studies
from stenograde.datasets.samples import Sample
from stenograde.errors import DatasetError
from stenograde.files import inert_cell
from stenograde.images.pictures import PictureConfig, prepare_picture
from stenograde.levels.axial_levels import LEVELS_OF_SLICES, levels_by_clusters, levels_by_points
from stenograde.terms import LUMBAR_MRI, Condition, Level, Severity
from stenograde.workers import Progress

FOLDER_OF: Final = {
    Severity.NORMAL_MILD: "Normal_Mild",
    Severity.MODERATE: "Moderate",
    Severity.SEVERE: "Severe",
}
"""The document's folders (its section 4.1.3)."""

DOCUMENT_CODE: Final = {Severity.MODERATE: 0, Severity.NORMAL_MILD: 1, Severity.SEVERE: 2}
"""The document's label codes (its table 1), which are in alphabetical order; they appear only in the manifest,
because everything here ranks severities upwards."""

MANIFEST_COLUMNS: Final = (
    "path",
    "label",
    "patient",
    "level",
    "side",
    "weighting",
    "study",
    "series",
    "instance",
    "severity",
    "document_code",
)


@dataclass(frozen=True)
class PreparationConfig:
    """Settings of the preparation."""

    condition: Condition = Condition.SPINAL_CANAL_STENOSIS
    """Condition whose severity is the label; a condition with sides is written once for each side."""
    levels: str = "points"
    """How the level of a slice is found: ``points`` of the experts, or ``clusters`` as published."""
    per_level: int = 1
    """Number of slices per level and series, the nearest to the middle of the level."""

    def __post_init__(self) -> None:
        if self.levels not in LEVELS_OF_SLICES or self.per_level < 1:
            known = " or ".join(LEVELS_OF_SLICES)
            msg = f"levels must be {known} and per_level at least 1, got {self.levels!r} and {self.per_level}"
            raise ValueError(msg)


@dataclass
class Agreement:
    """Agreement between two ways of finding the level of a slice, counted while studies are read."""

    slices: Counter[Level] = field(default_factory=Counter)
    """Slices that the points assign to each level."""
    same: Counter[Level] = field(default_factory=Counter)
    """Those of them that the clusters assign to the same level."""
    beyond: int = 0
    """Slices that the clusters assign to a level although no point of a level is near."""
    marked: int = 0
    """Slices on which experts marked a level."""
    marked_clusters: int = 0
    """Those of them that the clusters assign to the marked level."""
    marked_points: int = 0
    """Those of them that the points assign to the marked level."""

    def count(self, study: AxialStudy) -> None:
        """Add the slices of a study."""
        for series in study.series:
            clusters = levels_by_clusters(series.slices, study.points)
            points = levels_by_points(series.slices, study.points)
            for by_cluster, by_point, marked in zip(clusters, points, series.marked, strict=True):
                cluster = by_cluster.level if by_cluster else None
                point = by_point.level if by_point else None
                if point is not None:
                    self.slices[point] += 1
                    self.same[point] += cluster is point
                elif study.points and cluster is not None:
                    self.beyond += 1
                if marked is not None:
                    self.marked += 1
                    self.marked_clusters += cluster is marked
                    self.marked_points += point is marked


@dataclass(frozen=True)
class ClassBalance:
    """Augmented copies of its pictures that bring a class to the size of the largest."""

    severity: Severity
    pictures: int
    copies_each: int
    """Number of copies of every picture; one in the largest class, since training uses only copies."""
    one_more_of: int
    """Number of pictures with one additional copy."""

    @property
    def balanced(self) -> int:
        """Total number of copies."""
        return self.pictures * self.copies_each + self.one_more_of


@dataclass(frozen=True, eq=False)
class Prepared:
    """Result of a preparation."""

    manifest: Path
    studies: int
    unlabelled: int
    """Slices left out because their level has no label."""
    balance: tuple[ClassBalance, ...]
    levels: Mapping[Level, int]
    """Number of pictures of each level."""
    agreement: Agreement
    notes: tuple[str, ...]


def balance_of(counts: Mapping[Severity, int]) -> tuple[ClassBalance, ...]:
    """Return the copies that make all classes as large as the largest, distributed as evenly as possible.

    Examples
    --------
    >>> [one.balanced for one in balance_of({Severity.NORMAL_MILD: 2414, Severity.SEVERE: 115})]
    [2414, 0, 2414]
    """
    largest = max(counts.values(), default=0)
    balance = []
    for severity in Severity:
        n = counts.get(severity, 0)
        each, more = divmod(largest, n) if n else (0, 0)
        balance.append(ClassBalance(severity, n, each, more))
    return tuple(balance)


def prepare_rsna2024(
    data: Path, out: Path, config: PreparationConfig, *, progress: Progress | None = None
) -> Prepared:
    """Write one 8-bit PNG per slice into a folder per class, and ``manifest.csv`` and ``preparation.json``.

    Pictures keep the size of their slices; each is normalised by its own extremes.

    Parameters
    ----------
    data : Path
        Folder of the competition, or a cohort of phantoms.
    out : Path
        Created if absent; must be empty.
    config : PreparationConfig
    progress : callable, optional
        Counts the studies.

    Raises
    ------
    DatasetError
        If the layout of ``data`` is not as expected, no slice has a label, or ``out`` is not empty.
    """
    if out.is_dir() and any(out.iterdir()):
        msg = f"folder to prepare into must be empty, got {out}, which is not; name another one"
        raise DatasetError(msg)
    manifest, agreement = out / "manifest.csv", Agreement()
    notes: list[str] = []
    written: list[dict[str, str]] = []
    studies = unlabelled = pointless = 0
    for study in read_axial_studies(data, notes=notes, progress=progress):
        studies += 1
        pointless += config.levels == "points" and not study.points
        agreement.count(study)
        samples = list(
            axial_samples(
                study,
                condition=config.condition,
                level_of=LEVELS_OF_SLICES[config.levels],
                per_level=config.per_level,
            )
        )
        unlabelled += sum(sample.label is None for sample in samples)
        written += [_write(one, Severity(one.label), out) for one in samples if one.label is not None]
    if not written:
        cure = "; without experts' points, levels can be named by clusters" if pointless == studies else ""
        msg = f"{data} must hold axial T2 slices with labels, got none in {studies} studies{cure}"
        raise DatasetError(msg)
    by_level = Counter(Level(row["level"]) for row in written)
    prepared = Prepared(
        manifest,
        studies,
        unlabelled,
        balance_of(Counter(Severity(row["label"]) for row in written)),
        {level: by_level[level] for level in LUMBAR_MRI.levels},
        agreement,
        tuple(notes),
    )
    (out / "preparation.json").write_text(_summary(prepared, config), encoding="utf-8")
    manifest.write_text(_table(written), encoding="utf-8", newline="")
    return prepared


def _write(sample: Sample, severity: Severity, out: Path) -> dict[str, str]:
    """Write the picture of a sample and return its row of the manifest."""
    picture = sample.picture.read()
    # at its own size: the size that a network takes is up to the recipe
    grey = prepare_picture(picture, PictureConfig((picture.shape[0], picture.shape[1])))
    facts, level, side = sample.facts, sample.level or "", sample.side or ""
    words = [facts["study"], facts["series"], facts["instance"].replace("#", "-"), level, side]
    path = Path(FOLDER_OF[severity]) / f"{'_'.join(word for word in words if word)}.png"
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(out / path)
    return {
        "path": path.as_posix(),
        "label": severity.value,
        "patient": sample.patient or "",
        "level": str(level),
        "side": str(side),
        "weighting": sample.weighting.value if sample.weighting else "",
        "study": facts["study"],
        "series": facts["series"],
        "instance": facts["instance"],
        "severity": severity.shown,
        "document_code": str(DOCUMENT_CODE[severity]),
    }


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, MANIFEST_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert_cell(text) for name, text in row.items()} for row in rows)
    return text.getvalue()


def _summary(prepared: Prepared, config: PreparationConfig) -> str:
    agreement = prepared.agreement
    facts = {
        "config": asdict(config),
        "studies": prepared.studies,
        "classes": CLASSES,
        "balance": [asdict(one) | {"balanced": one.balanced} for one in prepared.balance],
        "pictures_by_level": prepared.levels,
        "agreement": {
            "slices_near_a_level": agreement.slices,
            "same_level": agreement.same,
            "slices_near_none": agreement.beyond,
            "marked_by_experts": agreement.marked,
            "marked_same_by_clusters": agreement.marked_clusters,
            "marked_same_by_points": agreement.marked_points,
        },
        "slices_without_label": prepared.unlabelled,
        "notes": prepared.notes,
    }
    return json.dumps(facts, indent=2) + "\n"
