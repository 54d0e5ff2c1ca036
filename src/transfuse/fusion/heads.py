"""What stands on the fused block: a linear layer to logits, or to numbers in their own unit.

Without the second, targets in grams and in kilometres would need learning rates of their own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transfuse.types import TaskKind


class Values(nn.Linear):
    """Numbers [N, T] in the targets' own unit: `spread * (W x + b) + shift`.

    `shift` and `spread [T]` are mean and standard deviation of the training rows' targets, put there by `settle`: the
    layer learns targets of mean 0 and spread 1, and what it gives needs no turning back. A target that is the same for
    all training rows has spread 1.
    """

    def __init__(self, width: int, targets: int) -> None:
        super().__init__(width, targets)
        self.shift: Tensor
        self.spread: Tensor
        self.register_buffer("shift", torch.zeros(targets))
        self.register_buffer("spread", torch.ones(targets))

    def settle(self, targets: Tensor) -> None:
        """Take mean and spread from training targets [N, T]."""
        wide = targets.double()
        spread = wide.std(dim=0, correction=0)
        self.shift.copy_(wide.mean(dim=0))
        self.spread.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def forward(self, input: Tensor) -> Tensor:
        """[N, width] -> [N, T]."""
        return super().forward(input) * self.spread + self.shift


def head(width: int, outputs: int, kind: TaskKind) -> nn.Linear:
    """The linear head of a kind of task, from zero: the first answer is uniform, 1/2 for each label, or the mean.

    From there convex heads do not differ by their start at all.
    """
    made = Values(width, outputs) if kind == "regression" else nn.Linear(width, outputs)
    nn.init.zeros_(made.weight)
    nn.init.zeros_(made.bias)
    return made
