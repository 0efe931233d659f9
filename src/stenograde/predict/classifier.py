"""A bundle that classifies single pictures: graphs, how pictures are prepared, a card; no torch, nothing unpickled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from stenograde.config import build, read_toml
from stenograde.errors import BundleError
from stenograde.images.align import AlignConfig, Template, aligned, read_template
from stenograde.images.pictures import InputConfig, PictureConfig, prepare_picture
from stenograde.predict.bundle import BUNDLE_FILE
from stenograde.predict.weight_files import WeightFile, check_file, open_graph
from stenograde.terms import Level

if TYPE_CHECKING:
    import onnxruntime

IMAGES, EXTRA, LOGITS = "images", "extra", "logits"
"""Names of what a graph takes and gives."""


@dataclass(frozen=True)
class ClassifierTable:
    """What ``bundle.toml`` of a classifier holds."""

    kind: Literal["classifier"]
    name: str
    version: str
    task: str
    """The question asked of a picture, in words."""
    classes: tuple[str, ...]
    """In the order of the logits."""
    graphs: tuple[WeightFile, ...]
    """ONNX; their probabilities are averaged."""
    weights: tuple[WeightFile, ...]
    """Safetensors, for more training."""
    picture: PictureConfig
    input: InputConfig
    mirrored: bool = False
    """Each picture is classified a second time mirrored, and the two are averaged."""
    levels: tuple[Level, ...] = ()
    """Levels that the networks take as input, so that one must be known; empty when they take none."""
    level_names: Mapping[str, Level] = field(default_factory=dict)
    """Level by what ``level_pattern`` finds in a file's name."""
    level_pattern: str = ""
    """Regular expression with one group."""
    template: WeightFile | None = None
    """Anatomy that each picture is cut around; with a kind for each of ``levels``."""
    align: AlignConfig | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or not self.graphs:
            msg = f"a classifier needs two classes or more and a graph, got {self.classes}, {len(self.graphs)} graphs"
            raise ValueError(msg)
        if (self.template is None) != (self.align is None):
            msg = "template and align must be given together"
            raise ValueError(msg)
        try:
            groups = re.compile(self.level_pattern).groups
        except re.error as exc:
            msg = f"level_pattern must be a regular expression, got {self.level_pattern!r} ({exc})"
            raise ValueError(msg) from exc
        if self.level_pattern and groups != 1:
            msg = f"level_pattern must have one group, got {self.level_pattern!r}"
            raise ValueError(msg)

    def level_of(self, name: str) -> Level | None:
        """Return the level that a file's name gives, or None."""
        match = re.search(self.level_pattern, name) if self.level_pattern else None
        return self.level_names.get(match.group(1)) if match else None


@dataclass(frozen=True, eq=False)
class Classifier:
    """A checked bundle that classifies pictures."""

    table: ClassifierTable
    folder: Path

    @property
    def card(self) -> str:
        """Text of the card."""
        return (self.folder / "card.md").read_text(encoding="utf-8")

    @cached_property
    def _graphs(self) -> tuple[onnxruntime.InferenceSession, ...]:
        taken = {IMAGES, EXTRA} if self.table.levels else {IMAGES}
        sessions = []
        for one in self.table.graphs:
            session = open_graph(self.folder / one.file)
            names = {put.name for put in session.get_inputs()}
            given = [put.shape[-1] for put in session.get_outputs()]
            if names != taken or given != [len(self.table.classes)]:
                msg = (
                    f"{one.file} must take {', '.join(sorted(taken))} and give {len(self.table.classes)} logits, "
                    f"got {', '.join(sorted(names))} and {given}; use a bundle made for this version"
                )
                raise BundleError(msg)
            sessions.append(session)
        return tuple(sessions)

    @cached_property
    def _template(self) -> Template | None:
        return None if self.table.template is None else read_template(self.folder / self.table.template.file)

    def prepare(self, picture: NDArray[np.float32], level: Level | None = None) -> NDArray[np.uint8]:
        """Return a picture as the networks see it, shape ``table.picture.size_px``, uint8.

        Raises
        ------
        ValueError
            If the picture is no filled two-dimensional array of finite values, or the level must be known and is not.
        """
        if self.table.levels and level not in self.table.levels:
            known = ", ".join(one.shown for one in self.table.levels)
            msg = f"level must be one of {known}, got {level.shown if level else 'none'}"
            raise ValueError(msg)
        if self._template is not None and self.table.align is not None:
            kind = self.table.levels.index(level) if level is not None and self.table.levels else None
            picture = aligned(picture, self._template, self.table.align, kind)
        return prepare_picture(picture, self.table.picture)

    def classify(
        self, prepared: NDArray[np.uint8], levels: Sequence[Level | None] = ()
    ) -> NDArray[np.float64]:
        """Return the probability of each class.

        Parameters
        ----------
        prepared : ndarray of shape (n, rows, columns), uint8
            By :meth:`prepare`.
        levels : sequence of Level
            One for each picture where the bundle takes levels.

        Returns
        -------
        probabilities : ndarray of shape (n, classes), float64
            Rows sum to one.

        Raises
        ------
        BundleError
            If a graph cannot be run or is that of another kind of bundle.
        """
        views = [prepared, prepared[:, :, ::-1]] if self.table.mirrored else [prepared]
        extra = np.array([[one is level for one in self.table.levels] for level in levels], np.float32)
        total = np.zeros((len(prepared), len(self.table.classes)))
        for view in views:
            fed = {IMAGES: self._input(view)} | ({EXTRA: extra} if self.table.levels else {})
            for session in self._graphs:
                logits = session.run([LOGITS], fed)[0].astype(np.float64)
                odds = np.exp(logits - logits.max(axis=1, keepdims=True))
                total += odds / odds.sum(axis=1, keepdims=True)
        return total / total.sum(axis=1, keepdims=True)

    def _input(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        how = self.table.input
        grey = pictures[:, None].astype(np.float32) / 255
        mean, std = (np.array(values, np.float32)[:, None, None] for values in (how.mean, how.std))
        shape = (len(pictures), how.channels, *pictures.shape[1:])
        return np.ascontiguousarray(np.broadcast_to((grey - mean) / std, shape))


def load_classifier(path: str | Path) -> Classifier:
    """Load a classifier from its folder, or one that ships by its name.

    Raises
    ------
    BundleError
        If there is none, a file is missing or altered, or it is a bundle of another kind.
    ConfigError
        If ``bundle.toml`` is no table of a classifier.
    """
    folder = Path(path)
    if not folder.is_dir() and folder.name == str(path):
        with as_file(files("stenograde") / "bundles" / folder.name) as shipped:
            folder = shipped
    if not (folder / BUNDLE_FILE).is_file():
        msg = f"a classifier must be a folder with {BUNDLE_FILE} or one of {', '.join(_shipped())}, got {str(path)!r}"
        raise BundleError(msg)
    content = read_toml(folder / BUNDLE_FILE)
    if content.get("kind") != "classifier":
        msg = f"{BUNDLE_FILE} of {folder.name} must be that of a classifier, got one for 'stenograde grade'"
        raise BundleError(msg)
    table = build(ClassifierTable, content, where=BUNDLE_FILE)
    for entry in (*table.graphs, *table.weights, *([table.template] if table.template else [])):
        check_file(folder, entry)
    return Classifier(table, folder)


def _shipped() -> list[str]:
    """Return the names of the classifiers that ship."""
    with as_file(files("stenograde") / "bundles") as root:
        folders = sorted(one for one in root.iterdir() if (one / BUNDLE_FILE).is_file())
        return [one.name for one in folders if read_toml(one / BUNDLE_FILE).get("kind") == "classifier"]
