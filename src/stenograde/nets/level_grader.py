"""The level grader, from crops of one disc level to logits of its canal, foramina and recesses.

Each level has two views, from its left and from its right, that share one set of weights. A small residual encoder per
kind of crop gives features; masked attention weights the crops present for each question (after Ilse et al.,
arXiv:1802.04712). The canal's logits are the mean over both views, so mirroring a patient swaps left and right and
leaves the canal unchanged, by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stenograde.nets.encoder import SmallResnet, SmallResnetConfig

N_QUESTIONS = 3
"""Questions for each view: the canal, the near foramen, the near recess."""

N_SEVERITIES = 3


@dataclass(frozen=True)
class LevelGraderConfig:
    """Shape of the level grader."""

    kinds: int = 4
    """Number of kinds of crop."""
    slices: int = 5
    size_px: int = 80
    """Rows and columns of a crop."""
    widths: tuple[int, ...] = (32, 48, 64, 80)
    """Channels of each stage of an encoder; the first keeps rows and columns, each other halves them."""
    kept: int = 16
    """Channels that keep their positions when maps become features: the near recess differs from the far one."""
    features: int = 64
    """Number of features per crop."""
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if min(self.kinds, self.slices, self.size_px, self.kept, self.features) < 1:
            msg = (
                f"a level grader needs kinds, slices, size_px, kept and features of 1 or more, got {self.kinds}, "
                f"{self.slices}, {self.size_px}, {self.kept}, {self.features}"
            )
            raise ValueError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"level_grader.dropout must be from 0 to below 1, got {self.dropout}"
            raise ValueError(msg)

    @property
    def encoder(self) -> SmallResnetConfig:
        """Shape of each encoder; with group norms, so that the other crops of a batch cannot matter."""
        return SmallResnetConfig(
            self.widths, first_stage="keeps", depths=(1,) * len(self.widths), norm="group", start="random"
        )


class LevelGrader(nn.Module):
    """A net from the crops of a level to logits."""

    feature_mean: Tensor
    whitening: Tensor

    def __init__(self, config: LevelGraderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = nn.ModuleList(_CropEncoder(config) for _ in range(config.kinds))
        self.attention = nn.Parameter(torch.zeros(config.kinds, config.features, N_QUESTIONS))
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.ModuleList(nn.Linear(config.features, N_SEVERITIES) for _ in range(N_QUESTIONS))
        self.told_by = nn.Parameter(torch.zeros(config.kinds, N_QUESTIONS, N_SEVERITIES))
        self.register_buffer("feature_mean", torch.zeros(config.kinds, config.features))
        self.register_buffer("whitening", torch.eye(config.features).repeat(config.kinds, 1, 1))

    def forward(self, crops: Tensor, present: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        crops : tensor of shape (n, 2 views, kinds, slices, rows, columns), float
            Crops; the values of an absent one do not matter as long as they are finite.
        present : tensor of shape (n, 2 views, kinds), float
            1 where there is a crop, otherwise 0.

        Returns
        -------
        logits : tensor of shape (n, cells, severities)
            Logits of canal, left foramen, right foramen, left recess, right recess; constant for a cell without any
            crop.
        """
        return self.answer(self.features(crops), present)

    def features(self, crops: Tensor) -> Tensor:
        """Return the features of each crop, shape (n, 2 views, kinds, features), before any is masked."""
        seen = [
            encoder(crops[:, :, kind].flatten(0, 1)).unflatten(0, (-1, 2))
            for kind, encoder in enumerate(self.encoders)
        ]
        return torch.stack(seen, dim=2)

    def answer(self, features: Tensor, present: Tensor) -> Tensor:
        """Return logits, shape (n, cells, severities), from features of shape (n, 2 views, kinds, features)."""
        there = present[..., None].to(features.dtype)
        active = self.dropout(torch.relu(features) * there)
        joined = torch.einsum("nvkq,nvkf->nvqf", self.kind_weights(active, there), active)
        # how certain an answer can be depends on the crops behind it
        told = (there[..., None] * self.told_by).sum(dim=2)
        canal, foramen, recess = (
            head(joined[:, :, place]) + told[:, :, place] for place, head in enumerate(self.heads)
        )
        return torch.cat([canal.mean(dim=1, keepdim=True), foramen, recess], dim=1)

    def kind_weights(self, active: Tensor, there: Tensor) -> Tensor:
        """Return how much each crop counts for each question, shape (n, 2 views, kinds, questions).

        Parameters
        ----------
        active : tensor of shape (n, 2 views, kinds, features)
            What is above zero of the features of the crops that are there.
        there : tensor of shape (n, 2 views, kinds, 1)
        """
        scores = torch.einsum("nvkf,kfq->nvkq", active, self.attention) / self.config.features**0.5
        return torch.softmax(scores - 1e4 * (1 - there), dim=2) * there

    def strangeness(self, features: Tensor) -> Tensor:
        """Return how unlike the training crops each crop is, shape (n, 2 views, kinds).

        This is the Mahalanobis distance of its features (Lee et al., arXiv:1807.03888) over the root of their number,
        about 1 for usual crops; it is meaningless until :meth:`set_usual` was called.
        """
        off = torch.einsum("nvkf,kgf->nvkg", features - self.feature_mean, self.whitening)
        return off.square().mean(dim=-1).sqrt()

    def set_usual(self, kind: int, features: Tensor, *, shrink: float = 0.05) -> None:
        """Set which features of a kind of crop are usual.

        Parameters
        ----------
        kind : int
        features : tensor of shape (crops, features)
        shrink : float
            Fraction of the mean variance to add to each variance, so that directions that never vary do not count.
        """
        self.feature_mean[kind], self.whitening[kind] = usual_of(features, shrink=shrink)


def usual_of(features: Tensor, *, shrink: float = 0.05) -> tuple[Tensor, Tensor]:
    """Return the mean of features (n, f) and what whitens them (f, f); see :meth:`LevelGrader.set_usual`."""
    values = features.double()
    mean = values.mean(dim=0)
    covariance = (values - mean).T @ (values - mean) / max(len(values) - 1, 1)
    ridge = shrink * covariance.diagonal().mean().clamp(min=1e-9)
    variances, axes = torch.linalg.eigh(covariance + ridge * torch.eye(len(mean), dtype=torch.float64))
    whitening = (axes / variances.clamp(min=1e-12).sqrt()).T
    return mean.to(features), whitening.to(features)


class GraderGraph(nn.Module):
    """The graph for inference: logits of the cells, and strangeness of each crop."""

    def __init__(self, net: LevelGrader) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, cells, severities) and strangeness (n, 2 views, kinds)."""
        features = self.net.features(crops)
        return self.net.answer(features, present), self.net.strangeness(features)


class _CropEncoder(nn.Module):
    """Encoder of one kind of crop; slices are channels."""

    def __init__(self, config: LevelGraderConfig) -> None:
        super().__init__()
        self.maps = SmallResnet(config.encoder, config.slices)
        side = -(-config.size_px // config.encoder.stride)
        self.squeeze = nn.Conv2d(self.maps.width, config.kept, 1)
        self.join = nn.Linear(config.kept * side * side, config.features)

    def forward(self, crops: Tensor) -> Tensor:
        """Return features (n, features) of crops (n, slices, rows, columns)."""
        return self.join(torch.relu(self.squeeze(self.maps.maps(crops))).flatten(1))
