"""Joints: what lies between a source's block and a fusing method, so that no source is too loud or misshapen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transfuse.spreads import LEAST, SMALLEST_SPREAD, varying


class Standardise(nn.Module):
    """Zero mean and unit spread per channel, by statistics of the training rows: (x - mean) / std.

    Blocks are vectors [N, D], maps [N, C, H, W] or tokens [N, T, D]; statistics are per D or C.
    A column that is constant up to rounding becomes 0 (`varying`). The statistics are buffers, settled once before
    training, so rows never depend on the rest of their batch. `idle` are the numbers of the columns that were constant,
    known until the network is written down.
    """

    mean: Tensor
    std: Tensor
    idle: tuple[int, ...] = ()

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def settle(self, block: Tensor) -> None:
        """Take the statistics from these training rows."""
        wide = block.double().transpose(1, 2) if block.dim() == 3 else block.double()
        axes = [axis for axis in range(block.dim()) if axis != 1]
        spread = wide.std(dim=axes, unbiased=False)
        mean = wide.mean(dim=axes)
        self._take(mean, spread, varying(spread, mean))

    def _take(self, mean: Tensor, spread: Tensor, varies: Tensor) -> None:
        self.mean.copy_(mean.to(self.mean.dtype))
        self.std.copy_(torch.where(varies, spread, torch.ones_like(spread)).to(self.std.dtype))
        self.idle = tuple(torch.nonzero(~varies).flatten().tolist())

    def forward(self, block: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (block.dim() - 2) if block.dim() != 3 else (1, 1, -1)
        return (block - self.mean.view(shape)) / self.std.view(shape)


class Completed(Standardise):
    """Of a block of columns (`transfuse.cells`): the first `numbers` entries may be missing, and as many flags say so.

    Numbers are standardised by the training rows that have them, and a missing one becomes their mean, 0. What was the
    same in all training rows is 0 for every row: nobody could learn what another value of it means.
    """

    kept: Tensor

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__(width)
        self.numbers = numbers
        self.register_buffer("kept", torch.ones(width))

    def settle(self, block: Tensor) -> None:
        there = torch.ones_like(block, dtype=torch.float64)
        there[:, : self.numbers] -= block[:, self.numbers : 2 * self.numbers].double()
        count, wide = there.sum(0).clamp(min=1), block.double()
        mean = (wide * there).sum(0) / count
        spread = (((wide - mean) * there).square().sum(0) / count).sqrt()
        # Each column has its own unit, so none is nothing beside another.
        varies = spread > (SMALLEST_SPREAD * mean.abs()).clamp(min=LEAST)
        self._take(mean, spread, varies)
        self.kept.copy_(varies.to(self.kept.dtype))

    def forward(self, block: Tensor) -> Tensor:
        found = super().forward(block) * self.kept
        there = 1 - block[:, self.numbers : 2 * self.numbers]
        return torch.cat([found[:, : self.numbers] * there, found[:, self.numbers :]], dim=1)


class Plain(nn.Module):
    """A block as it is: for methods that hand it on to the source it came from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def settle(self, block: Tensor) -> None:
        """Nothing to take."""

    def forward(self, block: Tensor) -> Tensor:
        return block


def pooled(block: Tensor) -> Tensor:
    """Any block as a vector: maps [N, C, H, W] and tokens [N, T, D] are averaged, vectors [N, D] pass."""
    if block.dim() == 4:
        return block.mean(dim=(2, 3))
    return block.mean(dim=1) if block.dim() == 3 else block
