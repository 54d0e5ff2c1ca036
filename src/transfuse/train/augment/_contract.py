"""What every augmentation keeps to; without it a mixed image could keep an unmixed label.

A file declares `CITATION`, `PARAMETERS`, `TRAITS = {"on": "canvas" | "blocks"}` and one function
`augment(batch, rng, classes, **settings) -> batch`: inputs and targets change together, rows stay in their order, and
what it was given is not changed in place. All it draws, it draws from `rng`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfuse.registry import find
from transfuse.train.batches import Batch
from transfuse.train.losses import mixable

SHELF = "train/augment"


def augmented(
    batch: Batch, named: Sequence[tuple[str, Mapping[str, Any]]], rng: np.random.Generator, classes: int
) -> Batch:
    """The batch after all augmentations of a schedule, in their order."""
    for name, settings in named:
        batch = find(SHELF, name).load().augment(batch, rng, classes, **settings)
    return batch


def partners(batch: Batch, rng: np.random.Generator) -> Tensor:
    """Which row each row is mixed with [N]; a row may meet itself."""
    return torch.from_numpy(rng.permutation(len(batch.rows)))


def mixed(values: Tensor, other: Tensor, share: Tensor | float) -> Tensor:
    """share · values + (1 − share) · values[other]; `share` is one number, or one for each row [N]."""
    if isinstance(share, Tensor):
        share = share.to(values).reshape(-1, *[1] * (values.dim() - 1))
    return share * values + (1 - share) * values[other.to(values.device)]


def mixed_targets(batch: Batch, other: Tensor, share: Tensor | float, classes: int) -> Tensor | None:
    """The targets of rows mixed with others in these shares; None where the rows have none."""
    return None if batch.targets is None else mixed(mixable(batch.targets, classes), other, share)
