"""The augmentation shelf: what is done to training batches; without it a mixed image could keep an unmixed label.

A file declares `CITATION`, `PARAMETERS`, `TRAITS = {"on": "canvas" | "blocks"}` and one function
`augment(batch, rng, classes, **settings) -> batch`: inputs and targets change together, rows stay in their order, and
what it was given is not changed in place. All it draws, it draws from `rng`.

Where it must know more than a batch, it defines `survey(batch, classes)` too, which is given all training rows once;
what that returns comes fourth: `augment(batch, rng, classes, known, **settings)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfuse.registry import find
from transfuse.train.batches import Batch
from transfuse.train.losses import mixable

SHELF = "train/augment"


class Augmenting:
    """All augmentations of a schedule, in their order; `rows()` gives the batch of all training rows, asked for where
    one of them wants to know it."""

    def __init__(self, named: Sequence[tuple[str, Mapping[str, Any]]], classes: int, rows: Callable[[], Batch]) -> None:
        self.classes = classes
        self.steps: list[tuple[Callable[..., Batch], list[Any], Mapping[str, Any]]] = []
        for name, settings in named:
            module = find(SHELF, name).load()
            known = [module.survey(rows(), classes)] if hasattr(module, "survey") else []
            self.steps.append((module.augment, known, settings))

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch after all of them."""
        for augment, known, settings in self.steps:
            batch = augment(batch, rng, self.classes, *known, **settings)
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
