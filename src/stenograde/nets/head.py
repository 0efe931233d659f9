"""The last part of a picture classifier, from a feature vector and further inputs to one logit per class."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class ClassifierHead(nn.Module):
    """Drop-out and one linear layer over a feature vector, with optional further inputs.

    The further inputs (such as the disc level as a one-hot vector) are concatenated to the features after the
    drop-out, which therefore never hides them.

    Parameters
    ----------
    width : int
        Length of the feature vector.
    classes : int
        Number of logits.
    extra : int
        Number of further inputs, 0 for none.
    dropout : float
        Drop-out rate of the features in training.
    """

    def __init__(self, width: int, classes: int, *, extra: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.extra = extra
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width + extra, classes)

    def forward(self, vector: Tensor, extra: Tensor | None = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        vector : tensor of shape (n, width), float
        extra : tensor of shape (n, extra), float, optional
            Required if, and only if, the head was made with ``extra`` above 0.

        Returns
        -------
        logits : tensor of shape (n, classes)

        Raises
        ------
        ValueError
            If further inputs are missing, or given to a head that takes none.
        """
        if (extra is None) != (self.extra == 0):
            got = "none" if extra is None else f"a tensor of shape {tuple(extra.shape)}"
            msg = f"extra inputs must be {self.extra} values for each picture, got {got}"
            raise ValueError(msg)
        vector = self.dropout(vector)
        if extra is not None:
            vector = torch.cat((vector, extra.to(vector.dtype)), dim=1)
        return self.linear(vector)


class PictureShape(Protocol):
    """What the data decides of a picture classifier."""

    @property
    def classes(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def size_px(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def extra(self) -> int: ...  # noqa: D102


def check_picture_shape(shape: PictureShape, what: str, *, stride: int = 1) -> None:
    """Refuse shapes that no picture classifier can have; ``what`` is the name of the net in the message.

    Raises
    ------
    ValueError
        If there are fewer than two classes, channels other than 1 or 3, a side shorter than ``stride`` or a
        negative count of further inputs.
    """
    for name, fits, rule in (
        ("classes", shape.classes >= 2, "2 or more"),
        ("channels", shape.channels in (1, 3), "1 or 3"),
        ("size_px", min(shape.size_px) >= stride, f"{stride} or more on each side"),
        ("extra", shape.extra >= 0, "0 or more"),
    ):
        if not fits:
            msg = f"{what}.{name} must be {rule}, got {getattr(shape, name)}"
            raise ValueError(msg)


def check_share(what: str, value: float) -> None:
    """Refuse a drop-out share outside 0 (kept) to below 1 (dropped).

    Raises
    ------
    ValueError
        If it is.
    """
    if not 0.0 <= value < 1.0:
        msg = f"{what} must be from 0 to below 1, got {value}"
        raise ValueError(msg)
