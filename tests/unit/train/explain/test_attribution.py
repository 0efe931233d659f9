"""Maps show the net and not the picture: they change with its weights, add up, and lie on what it was taught to see."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("captum", reason="needs the extra 'train'")

from scipy.stats import spearmanr  # noqa: E402
from tests.placed_levels import levels, study  # noqa: E402

from stenograde.evaluate.vector_scaling import VectorScaling  # noqa: E402
from stenograde.levels.crop import CropConfig, CropKind, crop_levels  # noqa: E402
from stenograde.nets.level_transfer import (  # noqa: E402
    FromMaps,
    LevelTransfer,
    LevelTransferConfig,
    TransferGraph,
)
from stenograde.predict.bundle import default_bundle  # noqa: E402
from stenograde.terms import LUMBAR_MRI, Level, Side  # noqa: E402
from stenograde.train.explain.attribution import Attributed, LogOdds, attribute  # noqa: E402
from stenograde.train.explain.torch_grader import TorchGrader, open_torch_grader  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default::UserWarning")

TINY = LevelTransferConfig(frozen=True, stages=(1, 2), grid=4, slices=3, size_px=32, kept=8, features=16)
CROPS = CropConfig(slices=3, size_px=32, grid_mm=1.2)
LEFT_RECESS = 3
AXIAL = tuple(CropKind).index(CropKind.AXIAL_T2)
SQUARE = (slice(8, 13), slice(20, 25))


def planted(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Levels whose left recess is severe where the axial crop from the left has a bright square, and what is known."""
    rng = np.random.default_rng(seed)
    crops = rng.normal(0, 0.7, (n, 2, 4, 3, 32, 32)).astype(np.float32)
    severe = rng.random((n, 2)) < 0.5
    for i, view in np.argwhere(severe):
        crops[i, view, AXIAL, :, *SQUARE] += 3
    known = torch.cat([torch.ones(n, 8), torch.eye(5)[torch.arange(n) % 5]], dim=1)
    return torch.from_numpy(crops), known, torch.from_numpy(2 * severe.astype(np.int64))


@pytest.fixture(scope="module")
def taught() -> TorchGrader:
    torch.manual_seed(0)
    net = LevelTransfer(TINY)
    crops, known, severities = planted(96, seed=0)
    with torch.no_grad():
        maps = net.maps(crops)
    heads = FromMaps(net).train()
    optimiser = torch.optim.AdamW([one for one in net.parameters() if one.requires_grad], 3e-3)
    for step in range(180):
        some = torch.arange(16) + 16 * (step % 6)
        logits = heads(maps[some], known[some])[:, [LEFT_RECESS, LEFT_RECESS + 1]]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), severities[some].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return TorchGrader(TransferGraph([net]))


def randomised(grader: TorchGrader, seed: int) -> TorchGrader:
    """The same net with every weight drawn anew, as the sanity check of Adebayo et al. wants it."""
    torch.manual_seed(seed)
    graph = copy.deepcopy(grader.graph)
    for module in graph.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    for name, value in graph.named_parameters():
        if name.endswith(("attention", "over_slices", "over_kinds", "told_by")):
            torch.nn.init.normal_(value, std=0.1)
    return TorchGrader(graph)


def explained(grader: TorchGrader, crops: torch.Tensor, config: CropConfig, place: int) -> Attributed:
    odds = LogOdds(grader, torch.ones(1, 2, 4), torch.eye(5)[:1], place=place, scaling=VectorScaling())
    return attribute(odds, crops, grid_mm=config.grid_mm)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation of the sizes of two maps."""
    return float(spearmanr(np.abs(one).ravel(), np.abs(other).ravel())[0])


def lit(seed: int) -> torch.Tensor:
    crops, _, severities = planted(8, seed)
    return crops[int((severities[:, 0] > severities[:, 1]).int().argmax())][None]


def test_the_taught_net_knows_its_square(taught: TorchGrader) -> None:
    crops, known, severities = planted(40, seed=1)
    with torch.no_grad():
        said = taught.graph(crops, known[:, :8].unflatten(1, (2, 4)), known[:, 8:])[0]
    right = (said[:, [LEFT_RECESS, LEFT_RECESS + 1]].argmax(2) == severities).float().mean()
    assert float(right) > 0.9


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_the_map_is_strongest_on_the_square_that_decides(taught: TorchGrader, seed: int) -> None:
    found = explained(taught, lit(seed), CROPS, LEFT_RECESS)
    values = found.smoothed(CROPS.grid_mm)
    view, kind, _, row, column = np.unravel_index(np.abs(values).argmax(), values.shape)
    assert (view, kind) == (tuple(Side).index(Side.LEFT), AXIAL)
    # a pixel beside it at most
    assert SQUARE[0].start - 1 <= row <= SQUARE[0].stop
    assert SQUARE[1].start - 1 <= column <= SQUARE[1].stop
    assert values[view, kind, :, row, column].max() > 0, "it speaks for severe"


def test_attributions_add_up_to_the_difference_of_log_odds(taught: TorchGrader) -> None:
    found = explained(taught, lit(2), CROPS, LEFT_RECESS)
    difference = found.log_odds - found.baseline_log_odds
    assert abs(difference) > 0.5
    assert abs(found.remainder) < 0.1 * abs(difference)
    assert found.values.sum() == pytest.approx(difference - found.remainder, abs=1e-3)


def test_random_weights_change_the_map(taught: TorchGrader) -> None:
    crops = lit(2)
    ours = explained(taught, crops, CROPS, LEFT_RECESS).smoothed(CROPS.grid_mm)
    again = explained(taught, crops, CROPS, LEFT_RECESS).smoothed(CROPS.grid_mm)
    assert alike(ours, again) > 0.999
    for seed in (1, 2):
        other = explained(randomised(taught, seed), crops, CROPS, LEFT_RECESS).smoothed(CROPS.grid_mm)
        # over all crops, sizes differ by crop even by chance: within the crop that decides
        assert alike(ours[0, AXIAL], other[0, AXIAL]) < 0.5


def test_random_weights_change_the_map_of_the_shipped_grader() -> None:
    bundle = default_bundle()
    entry = bundle.table.grader
    assert entry is not None
    grader = open_torch_grader(bundle)
    crops = torch.from_numpy(crop_levels(study(), levels(), entry.crops).values[:1])
    for place, kind in ((0, 0), (LEFT_RECESS, AXIAL)):
        ours = explained(grader, crops, entry.crops, place).smoothed(entry.crops.grid_mm)
        other = explained(randomised(grader, 1), crops, entry.crops, place).smoothed(entry.crops.grid_mm)
        assert alike(ours[0, kind], other[0, kind]) < 0.5


def test_log_odds_are_those_of_the_calibrated_probabilities(taught: TorchGrader) -> None:
    crops, scaling = lit(2), VectorScaling(1.7, (0.4, -0.1, -0.3))
    present, level = torch.ones(1, 2, 4), torch.eye(5)[:1]
    logits = taught.logits(crops, present, level)[0, LEFT_RECESS].numpy()
    normal = scaling.probabilities(logits)[0]
    odds = LogOdds(taught, present, level, place=LEFT_RECESS, scaling=scaling)(crops)
    assert float(odds[0]) == pytest.approx(np.log((1 - normal) / normal), abs=1e-4)


def test_absent_crops_have_no_map(taught: TorchGrader) -> None:
    present = torch.ones(1, 2, 4)
    present[0, 1, AXIAL] = present[0, 0, 1] = 0
    odds = LogOdds(taught, present, torch.eye(5)[:1], place=LEFT_RECESS, scaling=VectorScaling())
    sizes = np.abs(attribute(odds, lit(2), grid_mm=CROPS.grid_mm).values).sum(axis=(2, 3, 4))
    assert ((sizes > 0) == (present[0].numpy() > 0)).all()
    assert LUMBAR_MRI.at(Level.L4_L5)[LEFT_RECESS].side is Side.LEFT
