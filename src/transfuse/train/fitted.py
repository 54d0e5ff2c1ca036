"""What one training keeps: without this file the best epoch's weights would be gone when the last one ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from transfuse.train.health import Health


@dataclass
class Fitted:
    """One training: the epoch (from 1) with the best held loss, its held scores, and every epoch on the way.

    A point of the curve tells the mean training loss (`train`), its parts by name where there are several
    (`train:NAME`, before weights), and the loss on the held rows (`held`).
    """

    epoch: int = 0
    loss: float = math.inf
    scores: np.ndarray | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    every: list[np.ndarray] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    items: int = 0
    health: Health | None = None

    def keep(self, model: nn.Module, epoch: int, scores: np.ndarray | None, loss: float | None) -> None:
        """Take this epoch and the network as it stands."""
        self.epoch, self.scores, self.loss = epoch, scores, math.inf if loss is None else loss
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def note(self, point: dict[str, float], scores: np.ndarray | None) -> None:
        """Put down an epoch: its point of the curve, and the held rows' scores where there are such rows."""
        self.curve.append(point)
        self.every += [] if scores is None else [scores]

    def put_back(self, model: nn.Module) -> None:
        """Give the model the kept epoch's weights."""
        model.load_state_dict(self.state)
