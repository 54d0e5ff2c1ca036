"""Feature sampling trains on features drawn from a normal distribution of each class instead of some rows' own.

    h' = μ_y + spread · Rᵀ g / √(n − C),   g ~ N(0, I_n)
    μ_c mean features of class c over all training rows,   R [n, D] the rows' distances from their class's mean

so h' has the class's mean and the covariance within classes, pooled over them, of all sources at once: what sources say
together of one item stays together. No covariance [D, D] is ever made; of more than `MOST` rows, `MOST` spread evenly
stand for all. A class of a single row adds a mean and no spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.train.batches import Batch

CITATION = (
    "Yang, Liu, Xu, Free lunch for few-shot learning: distribution calibration, ICLR 2021; DeVries and Taylor, Dataset"
    " augmentation in feature space, 2017"
)
PARAMETERS: Mapping[str, Any] = {
    "share": {"type": "float", "default": 0.5, "low": 0.0, "high": 1.0, "doc": "of a batch's rows that are drawn"},
    "spread": {"type": "float", "default": 1.0, "low": 0.0, "high": 10.0, "doc": "multiplies the standard deviation"},
}
TRAITS = {"on": "blocks", "kinds": "multiclass"}
MOST = 1024


@dataclass(frozen=True)
class Known:
    """For each block, class means [C, ...] and the rows' distances from them, over √(n − C) [n, ...]."""

    means: list[Tensor]
    apart: list[Tensor]


def survey(batch: Batch, classes: int) -> Known:
    """What is drawn from, of all training rows. Raises UserError where no class has two rows."""
    if batch.targets is None or batch.targets.dim() != 1:
        raise UserError("features of a class are drawn where every row has one class", got="rows without")
    targets = batch.targets.long()
    counts = torch.bincount(targets, minlength=classes)
    free = len(targets) - int((counts > 0).sum())
    if free < 1:
        raise UserError(
            "features cannot be drawn where no class has two rows",
            expected="two items of one class",
            hint="leave `augment: feature_sampling` out",
        )
    kept = torch.arange(len(targets))[:: -(-len(targets) // MOST)]
    # Fewer rows stand for all: their distances count as much more.
    scale = (len(targets) / (len(kept) * free)) ** 0.5
    means, apart = [], []
    for block in batch.inputs:
        own = targets.to(block.device)
        sums = torch.zeros((classes, *block.shape[1:]), dtype=block.dtype, device=block.device)
        sums.index_add_(0, own, block)
        mean = sums / counts.to(block).clamp(min=1).reshape(-1, *[1] * (block.dim() - 1))
        means.append(mean)
        apart.append((block - mean[own])[kept.to(block.device)] * scale)
    return Known(means, apart)


def augment(
    batch: Batch, rng: np.random.Generator, classes: int, known: Known, *, share: float, spread: float
) -> Batch:
    """The batch with a share of its rows drawn anew, each from the distribution of its own class."""
    if batch.targets is None:
        return batch
    drawn = torch.from_numpy(rng.random(len(batch.rows)) < share)
    weights = torch.from_numpy(rng.standard_normal((len(batch.rows), len(known.apart[0])), dtype=np.float32))
    inputs = []
    for block, means, apart in zip(batch.inputs, known.means, known.apart, strict=True):
        noise = (weights.to(block) @ apart.flatten(1)).reshape(block.shape)
        made = means[batch.targets.long().to(block.device)] + spread * noise
        chosen = drawn.to(block.device).reshape(-1, *[1] * (block.dim() - 1))
        inputs.append(torch.where(chosen, made, block))
    return replace(batch, inputs=inputs)
