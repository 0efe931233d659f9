"""A bundle: weights, their configuration and a card in one folder; every hash and shape is checked on loading.

Nothing is unpickled: networks are ONNX graphs, run by ONNX Runtime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stenograde.config import build, read_toml
from stenograde.errors import BundleError
from stenograde.evidence import ConditionEvidence, RestsOn
from stenograde.grades import BundleStamp
from stenograde.levels.canal_model import CanalModel
from stenograde.levels.rooms import RECESS_MAP
from stenograde.predict.discs import DiscEntry, DiscHeads, open_heads
from stenograde.predict.fixed_heads import FixedHeadsEntry, Head, open_fixed_heads
from stenograde.predict.foramina import ForaminaEntry
from stenograde.predict.grader import GraderEntry, open_grader
from stenograde.predict.looks import N_MAPS
from stenograde.predict.middle_maps import MiddleMapsEntry, open_middle_maps
from stenograde.predict.point_finder import open_point_finder
from stenograde.predict.recesses import RecessesEntry
from stenograde.predict.room_net import open_room_net
from stenograde.predict.weight_files import WeightFile, check_file, check_said, open_graph
from stenograde.terms import SCHEMES, Condition, Scheme

if TYPE_CHECKING:
    import onnxruntime

BUNDLE_FILE = "bundle.toml"
"""Name of the table in a bundle's folder."""

GRID_MM: Final = (0.3, 3.0)
"""Finest and coarsest grid of a locator, mm: the finest takes four times the memory of the shipped one's 0.6 mm."""

MAX_STRIDE: Final = 256
"""Largest stride of a locator; a picture grows by less than this at two edges."""

DEFAULT = "lumbar-mri-25"
"""Folder of the shipped bundle under ``stenograde/bundles``."""


@dataclass(frozen=True)
class LocatorEntry:
    """The locator of a bundle."""

    onnx: WeightFile
    weights: WeightFile
    """Safetensors, for more training."""
    widths: tuple[int, ...]
    grid_mm: float
    """Pixel spacing the network works on, mm."""
    stride: int
    """Rows and columns given to the network are multiples of this."""

    def __post_init__(self) -> None:
        (fine, coarse), most = GRID_MM, MAX_STRIDE
        if not fine <= self.grid_mm <= coarse or not 1 <= self.stride <= most:
            msg = (
                f"a locator needs grid_mm of {fine:g} to {coarse:g} and stride of 1 to {most}, got {self.grid_mm:g}, "
                f"{self.stride}"
            )
            raise ValueError(msg)


@dataclass(frozen=True)
class BundleTable:
    """What ``bundle.toml`` holds."""

    name: str
    version: str
    scheme: str
    locator: LocatorEntry
    canal: CanalModel = field(default_factory=CanalModel)
    grader: GraderEntry | None = None
    """Without it the canal is graded from measurements and nothing else is."""
    middle_maps: MiddleMapsEntry | None = None
    """The frozen encoder whose features small heads read."""
    fixed: FixedHeadsEntry | None = None
    """Heads that answer for some conditions in the grader's place."""
    discs: DiscEntry | None = None
    """Without it nothing is said of discs."""
    foramina: ForaminaEntry | None = None
    """Without it there is no second opinion on foramina."""
    recesses: RecessesEntry | None = None
    """Without it there is no second opinion on subarticular zones."""
    evidence: Mapping[str, ConditionEvidence] = field(default_factory=dict)
    """What is known of its grades on patients, by condition; what its grader says of any other condition is a draft."""

    def __post_init__(self) -> None:
        if self.fixed is not None and (self.middle_maps is None or self.grader is None):
            msg = "fixed heads need middle_maps, and a grader for the other conditions, got a bundle without"
            raise ValueError(msg)
        if self.discs is not None and self.middle_maps is None:
            msg = "findings of discs need middle_maps, got none"
            raise ValueError(msg)
        for name, one in self.evidence.items():
            if name not in tuple(Condition):
                msg = f"evidence must be of {', '.join(Condition)}, got {name!r}"
                raise ValueError(msg)
            if one.kind is RestsOn.MEASURED and name != Condition.SPINAL_CANAL_STENOSIS:
                msg = f"evidence of {name} must not be {one.kind!r}: only the canal is measured"
                raise ValueError(msg)

    @property
    def weight_files(self) -> tuple[WeightFile, ...]:
        """Every file whose hash the table states."""
        entries = (self.locator,) if self.grader is None else (self.locator, self.grader)
        files = [file for entry in entries for file in (entry.onnx, entry.weights)]
        finder = None if self.grader is None else self.grader.finder
        files += [finder.onnx, finder.weights] if finder is not None else []
        files += [self.middle_maps.onnx] if self.middle_maps is not None else []
        files += [self.fixed.heads] if self.fixed is not None else []
        files += [one.onnx for one in (self.foramina, self.recesses) if one is not None]
        return (*files, *(self.discs.files if self.discs is not None else ()))


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked bundle."""

    table: BundleTable
    folder: Path
    hash: str
    """SHA-256 of ``bundle.toml``, which holds the hashes of all other files."""

    @property
    def stamp(self) -> BundleStamp:
        """Name, version and hash, for reports."""
        return BundleStamp(self.table.name, self.table.version, self.hash)

    @property
    def scheme(self) -> Scheme:
        """The cells that this bundle grades."""
        return SCHEMES[self.table.scheme]

    @property
    def evidence(self) -> dict[Condition, ConditionEvidence]:
        """What the bundle states of its grades, by condition."""
        return {Condition(name): one for name, one in self.table.evidence.items()}

    @property
    def card(self) -> str:
        """Text of the card."""
        return (self.folder / "card.md").read_text(encoding="utf-8")

    def open_ahead(self) -> None:
        """Open what grading needs in a thread of its own, while a study is read.

        What is wrong with a graph is said when it is asked for, as without this. A process that ends meanwhile waits
        for the thread, some tenths of a second: ONNX Runtime aborts where it is left alone.
        """
        table = self.table
        parts = {
            "_locator": table.locator,
            "grader": table.grader,
            "middle_maps": table.middle_maps,
            "foramina": table.foramina,
            "recesses": table.recesses,
            "disc_heads": table.discs,
        }

        def open_all() -> None:
            for name, entry in parts.items():
                with suppress(Exception):  # (it is said when the graph is asked for)
                    if entry is not None:
                        getattr(self, name)

        Thread(target=open_all).start()

    @cached_property
    def _locator(self) -> onnxruntime.InferenceSession:
        return _locator_session(self.folder / self.table.locator.onnx.file)

    def locate(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the locator.

        Parameters
        ----------
        slices : ndarray of shape (n, 1, rows, columns), float32
            Standardised, on the grid of ``table.locator``.

        Returns
        -------
        logits : ndarray of shape (n, classes + heat maps, rows, columns), float32

        Raises
        ------
        BundleError
            If the network is no ONNX graph, its input or output is not that of a locator, or it says what is no number.
        """
        maps: NDArray[np.float32] = self._locator.run(None, {"slices": slices})[0]
        check_said(self.table.locator.onnx, maps)
        return maps

    @cached_property
    def grader(self) -> onnxruntime.InferenceSession:
        """The grader's graph, checked.

        Raises
        ------
        BundleError
            If the bundle has no grader, or its graph is none.
        """
        if self.table.grader is None:
            msg = f"bundle {self.table.name!r} must have a grader, got none; make one with 'stenograde train grader'"
            raise BundleError(msg)
        return open_grader(self.folder, self.table.grader)

    @cached_property
    def point_finder(self) -> onnxruntime.InferenceSession:
        """The graph that looks for the points of cells, checked.

        Raises
        ------
        BundleError
            If the bundle has none, or its graph is none.
        """
        if self.table.grader is None or self.table.grader.finder is None:
            told = "got none; 'stenograde train rsna2024' makes one where enough studies have marks"
            msg = f"bundle {self.table.name!r} must have a point finder, {told}"
            raise BundleError(msg)
        return open_point_finder(self.folder, self.table.grader.finder)

    @cached_property
    def middle_maps(self) -> tuple[onnxruntime.InferenceSession, MiddleMapsEntry]:
        """The frozen encoder's graph, checked, and its entry.

        Raises
        ------
        BundleError
            If the bundle has none, or its graph is none.
        """
        if self.table.middle_maps is None:
            msg = f"bundle {self.table.name!r} must have middle maps, got none"
            raise BundleError(msg)
        return open_middle_maps(self.folder, self.table.middle_maps), self.table.middle_maps

    @cached_property
    def fixed_heads(self) -> dict[Condition, Head]:
        """The heads that answer for some conditions, checked; none where the bundle has none.

        Raises
        ------
        BundleError
            If they do not fit the middle maps.
        """
        if self.table.fixed is None:
            return {}
        channels = sum(one.shape[1] for one in self.middle_maps[0].get_outputs())
        return open_fixed_heads(self.folder, self.table.fixed, channels)

    @cached_property
    def foramina(self) -> onnxruntime.InferenceSession:
        """The graph that outlines what lies in foramina, checked.

        Raises
        ------
        BundleError
            If the bundle has none, or its graph is none.
        """
        if self.table.foramina is None:
            told = "got none; make one with 'stenograde train foramina'"
            msg = f"bundle {self.table.name!r} must have a net for foramina, {told}"
            raise BundleError(msg)
        return open_room_net(self.folder, self.table.foramina.onnx, self.table.foramina.view)

    @cached_property
    def recesses(self) -> onnxruntime.InferenceSession:
        """The graph that outlines recesses and tells tissues of axial slices apart, checked.

        Raises
        ------
        BundleError
            If the bundle has none, or its graph is none.
        """
        if self.table.recesses is None:
            told = "got none; make one with 'stenograde train recesses'"
            msg = f"bundle {self.table.name!r} must have a net for recesses, {told}"
            raise BundleError(msg)
        entry = self.table.recesses
        return open_room_net(self.folder, entry.onnx, entry.view, n_maps=RECESS_MAP + 1)

    @cached_property
    def disc_heads(self) -> DiscHeads:
        """The heads for findings of discs, checked.

        Raises
        ------
        BundleError
            If the bundle has none, or they do not fit its middle maps.
        """
        if self.table.discs is None:
            told = "got none; make them with 'stenograde train discs'"
            msg = f"bundle {self.table.name!r} must have heads for discs, {told}"
            raise BundleError(msg)
        session, entry = self.middle_maps
        channels = sum(one.shape[1] for one in session.get_outputs())
        return open_heads(self.folder, self.table.discs, entry, channels)


def load_bundle(path: str | Path) -> Bundle:
    """Load a bundle from its folder.

    Raises
    ------
    BundleError
        If a file is missing, altered, or does not fit the others.
    ConfigError
        If ``bundle.toml`` is no bundle table.
    """
    folder = Path(path)
    description = folder / BUNDLE_FILE
    if not description.is_file():
        msg = f"a bundle must be a folder with {BUNDLE_FILE}, got {folder}; make one with 'stenograde train locator'"
        raise BundleError(msg)
    table = build(BundleTable, read_toml(description), where=BUNDLE_FILE)
    if table.scheme not in SCHEMES:
        msg = f"{BUNDLE_FILE}: scheme must be one of {', '.join(SCHEMES)}, got {table.scheme!r}"
        raise BundleError(msg)
    for entry in table.weight_files:
        check_file(folder, entry)
    return Bundle(table, folder, hashlib.sha256(description.read_bytes()).hexdigest())


def default_bundle() -> Bundle:
    """Load the bundle that ships with the package."""
    with as_file(files("stenograde") / "bundles" / DEFAULT) as folder:
        return load_bundle(folder)


def bundle_at(folder: Path | None) -> Bundle:
    """Load the bundle of a folder, or the one that ships where none is named.

    Raises
    ------
    BundleError
        See :func:`load_bundle`.
    """
    return default_bundle() if folder is None else load_bundle(folder)


def _locator_session(path: Path) -> onnxruntime.InferenceSession:
    """Open a locator, and check what it takes and gives before a study is run through it."""
    session = open_graph(path, keeps_memory=True)
    names = [one.name for one in session.get_inputs()]
    channels = [one.shape[1] if len(one.shape) == 4 else None for one in session.get_outputs()]
    if names != ["slices"] or channels != [N_MAPS]:
        msg = (
            f"{path.name} must take 'slices' and give {N_MAPS} maps, got input {', '.join(names)} "
            f"and {', '.join(map(str, channels))} maps; use a bundle made for this version"
        )
        raise BundleError(msg)
    return session
