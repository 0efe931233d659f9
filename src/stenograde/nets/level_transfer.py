"""The level grader on a pre-trained encoder: slices of every series of a level to logits of its five cells.

Each level has two views, from its left and from its right, that share all weights, as in
:mod:`stenograde.nets.level_grader`: the right side is the left one mirrored. In each crop, every slice with its two
neighbours goes through the encoder as one picture of three channels; attention weights slices for each question
(Ilse et al., arXiv:1802.04712), then the series that are there; and the questions of a level, of both views, are
answered together, which the fifth place of RSNA 2024 found better than each for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from stenograde.nets.level_grader import N_QUESTIONS, N_SEVERITIES
from stenograde.nets.middle_maps import MiddleMaps, pooled

VIEWS = 2


@dataclass(frozen=True)
class LevelTransferConfig:
    """Shape of the grader."""

    encoder: str = "tf_efficientnet_lite0"
    """EfficientNet of timm."""
    stages: tuple[int, ...] = (2, 4)
    """Stages whose maps are looked at."""
    frozen: bool = False
    """Whether the encoder stays as it is."""
    grid: int = 5
    """Rows and columns of the maps, pooled."""
    kinds: int = 4
    slices: int = 5
    size_px: int = 80
    levels: int = 5
    kept: int = 24
    """Channels that keep their places when maps become features."""
    features: int = 96
    """Features of a slice, and of a question."""
    dropout: float = 0.3
    limit: float = 4.0
    """Values of crops are held within plus and minus this."""
    look_px: int = 0
    """Where not 0, answers are the mean of five looks: at the crops as they are, shifted by so many rows up and down,
    and by so many columns to either side."""

    def __post_init__(self) -> None:
        if min(self.grid, self.kinds, self.levels, self.kept, self.features) < 1 or self.slices < 3:
            msg = f"a grader needs 3 slices or more and grid, kinds, levels, kept and features of 1 or more, got {self}"
            raise ValueError(msg)
        if not 0 <= self.look_px < self.size_px:
            msg = f"look_px must be from 0 to below size_px, {self.size_px}, got {self.look_px}"
            raise ValueError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"dropout must be from 0 to below 1, got {self.dropout}"
            raise ValueError(msg)

    @property
    def places(self) -> int:
        """Slices of a crop that have a neighbour on both sides."""
        return self.slices - 2

    @property
    def looks(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns by which crops are shifted for each look, the first by none."""
        by = self.look_px
        return ((0, 0), *(((by, 0), (-by, 0), (0, by), (0, -by)) if by else ()))


class LevelTransfer(nn.Module):
    """A net from the crops of a level to logits; what is ``known`` beside them is which are there, and the level."""

    feature_mean: Tensor
    whitening: Tensor

    def __init__(self, config: LevelTransferConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = MiddleMaps(config.encoder, config.stages, channels=3, frozen=config.frozen)
        self.squash = nn.ModuleList(_Squash(self.encoder.width, config) for _ in range(config.kinds))
        self.judge = Judge(config)
        self.register_buffer("feature_mean", torch.zeros(config.kinds, config.features))
        self.register_buffer("whitening", torch.eye(config.features).repeat(config.kinds, 1, 1))

    def forward(self, crops: Tensor, known: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        crops : tensor of shape (n, 2 views, kinds, slices, rows, columns), float
            Values within the limit; those of an absent crop do not matter.
        known : tensor of shape (n, 2 * kinds + levels), float
            1 where there is a crop, view by view, otherwise 0; then the level, one-hot.

        Returns
        -------
        logits : tensor of shape (n, 5 cells, severities)
            Of canal, left foramen, right foramen, left recess, right recess.
        """
        return self.judge(self.features(self.maps(crops)), known)

    def maps(self, crops: Tensor) -> Tensor:
        """Return the encoder's maps, shape (n, 2, kinds, places, channels, grid, grid)."""
        triplets = torch.stack([crops[..., k : k + 3, :, :] for k in range(self.config.places)], dim=3)
        pictures = triplets.flatten(0, 3) / self.config.limit
        maps = pooled(self.encoder(pictures), self.config.grid)
        return maps.unflatten(0, (-1, VIEWS, self.config.kinds, self.config.places))

    def features(self, maps: Tensor) -> Tensor:
        """Return the features of each slice, shape (n, 2, kinds, places, features), before any is masked."""
        seen = [
            squash(maps[:, :, kind].flatten(0, 2)).unflatten(0, (-1, VIEWS, self.config.places))
            for kind, squash in enumerate(self.squash)
        ]
        return torch.stack(seen, dim=2)

    def strangeness(self, features: Tensor) -> Tensor:
        """Return how unlike the training crops each crop is, shape (n, 2, kinds).

        Mahalanobis distance of the mean features over slices (Lee et al., arXiv:1807.03888), over the root of their
        number; meaningless until the buffers were set.
        """
        off = torch.einsum("nvkf,kgf->nvkg", features.mean(dim=3) - self.feature_mean, self.whitening)
        return off.square().mean(dim=-1).sqrt()


def looked_at(crops: Tensor, by: tuple[int, int]) -> Tensor:
    """Return crops shifted down and right by rows and columns, with zeros where nothing comes in."""
    down, right = by
    return functional.pad(crops, (right, -right, down, -down)) if down or right else crops


class FromMaps(nn.Module):
    """A grader that is given the maps of its frozen encoder instead of crops."""

    def __init__(self, net: LevelTransfer) -> None:
        super().__init__()
        self.net = net

    def forward(self, maps: Tensor, known: Tensor) -> Tensor:
        """Return logits; see :meth:`LevelTransfer.maps` and :meth:`LevelTransfer.forward`."""
        return self.net.judge(self.net.features(maps.float()), known)


class Mixed(nn.Module):
    """Manifold mix-up (Verma et al., arXiv:1806.05236) of the features of a level with those of the one before it.

    The last column of what is known is the share of the level's own features; 1 leaves them as they are.
    """

    def __init__(self, net: LevelTransfer | FromMaps) -> None:
        super().__init__()
        self.net = net

    @property
    def whole(self) -> LevelTransfer:
        """The grader."""
        return self.net if isinstance(self.net, LevelTransfer) else self.net.net

    def forward(self, values: Tensor, known: Tensor) -> Tensor:
        """Return logits of crops, or of maps."""
        whole, known, own = self.whole, known[:, :-1], known[:, -1]
        features = whole.features(
            whole.maps(values) if isinstance(self.net, LevelTransfer) else values.float()
        )
        if self.training:
            own = own[:, None, None, None, None]
            features = own * features + (1 - own) * features.roll(1, 0)
        return whole.judge(features, known)


class Judge(nn.Module):
    """From the features of slices to logits: what the second step of training fits alone."""

    def __init__(self, config: LevelTransferConfig) -> None:
        super().__init__()
        width, joint = config.features, VIEWS * N_QUESTIONS * config.features
        self.kinds, self.width = config.kinds, width
        self.over_slices = nn.Parameter(torch.zeros(config.kinds, width, N_QUESTIONS))
        self.over_kinds = nn.Parameter(torch.zeros(config.kinds, width, N_QUESTIONS))
        self.told_by = nn.Parameter(torch.zeros(config.kinds, N_QUESTIONS, N_SEVERITIES))
        self.of_level = nn.Linear(config.levels, N_QUESTIONS * N_SEVERITIES, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.together = nn.Sequential(
            nn.Linear(joint + config.levels, 2 * width),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(2 * width, N_QUESTIONS * width),
        )
        self.heads = nn.ModuleList(nn.Linear(width, N_SEVERITIES) for _ in range(N_QUESTIONS))
        nn.init.zeros_(self.of_level.weight)

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        """Return logits, shape (n, cells, severities); see :class:`LevelTransfer`."""
        there = known[:, : VIEWS * self.kinds].unflatten(1, (VIEWS, self.kinds))[..., None]
        level = known[:, VIEWS * self.kinds :]
        active = self.dropout(torch.relu(features) * there[..., None])
        crops = torch.einsum("nvksq,nvksf->nvkqf", self.slice_weights(active), active)
        asked = torch.einsum("nvkq,nvkqf->nvqf", self.kind_weights(crops, there), crops)
        other = torch.stack([asked[:, 1], asked[:, 0]], dim=1)
        both = torch.cat([asked.flatten(2), other.flatten(2)], dim=2)
        both = torch.cat([both, level[:, None].expand(-1, VIEWS, -1)], dim=2)
        asked = torch.relu(asked + self.together(both).unflatten(2, (N_QUESTIONS, self.width)))
        # how certain an answer can be depends on the crops behind it
        told = (there[..., None] * self.told_by).sum(dim=2)
        told = told + self.of_level(level).unflatten(1, (1, N_QUESTIONS, N_SEVERITIES))
        canal, foramen, recess = (
            head(asked[:, :, place]) + told[:, :, place] for place, head in enumerate(self.heads)
        )
        return torch.cat([canal.mean(dim=1, keepdim=True), foramen, recess], dim=1)

    def slice_weights(self, active: Tensor) -> Tensor:
        """Return how much each slice of a crop counts for each question, shape (n, 2, kinds, places, questions)."""
        scores = torch.einsum("nvksf,kfq->nvksq", active, self.over_slices) / self.width**0.5
        return torch.softmax(scores, dim=3)

    def kind_weights(self, crops: Tensor, there: Tensor) -> Tensor:
        """Return how much each crop counts for each question, shape (n, 2, kinds, questions).

        Parameters
        ----------
        crops : tensor of shape (n, 2, kinds, questions, features)
            Features of slices, weighed by :meth:`slice_weights`.
        there : tensor of shape (n, 2, kinds, 1)
        """
        scores = torch.einsum("nvkqf,kfq->nvkq", crops, self.over_kinds) / self.width**0.5
        return torch.softmax(scores - 1e4 * (1 - there), dim=2) * there

    def attention(self, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return what :meth:`slice_weights` and :meth:`kind_weights` give for the features of slices."""
        there = known[:, : VIEWS * self.kinds].unflatten(1, (VIEWS, self.kinds))[..., None]
        active = torch.relu(features) * there[..., None]
        over_slices = self.slice_weights(active)
        crops = torch.einsum("nvksq,nvksf->nvkqf", over_slices, active)
        return over_slices, self.kind_weights(crops, there)


class TransferGraph(nn.Module):
    """The graph for inference: mean logits and strangeness, over looks and graders that share an encoder or not."""

    def __init__(self, nets: list[LevelTransfer]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.is_shared, self.looks = nets[0].config.frozen, nets[0].config.looks

    def forward(self, crops: Tensor, present: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, cells, severities) and strangeness (n, 2 views, kinds)."""
        known = torch.cat([present.flatten(1), level], dim=1)
        logits, strange = [], []
        for look in self.looks:
            seen, maps = looked_at(crops, look), None
            for net in self.nets:
                assert isinstance(net, LevelTransfer)
                maps = net.maps(seen) if maps is None or not self.is_shared else maps
                features = net.features(maps)
                logits.append(net.judge(features, known))
                strange.append(net.strangeness(features))
        return torch.stack(logits).mean(dim=0), torch.stack(strange).mean(dim=0)


class _Squash(nn.Module):
    """The maps of a slice to its features, place by place."""

    def __init__(self, width: int, config: LevelTransferConfig) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.squeeze = nn.Conv2d(width, config.kept, 1)
        self.join = nn.Linear(config.kept * config.grid**2, config.features)

    def forward(self, maps: Tensor) -> Tensor:
        return self.join(torch.relu(self.squeeze(self.norm(maps))).flatten(1))
