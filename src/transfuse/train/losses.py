"""The loss of each kind of task, in one place; without this file every objective would choose its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from transfuse.errors import UserError
from transfuse.types import TaskKind

Loss = Callable[[Tensor, Tensor, float], Tensor]


def cross_entropy(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean of −Σ_c y_c log softmax(scores)_c over rows, in nats.

    `scores [N, C]`; `targets` are class numbers [N] or shares [N, C] that sum to 1. With smoothing ε a target y is
    (1 − ε) y + ε / C (Szegedy et al., CVPR 2016).
    """
    return functional.cross_entropy(scores, targets, label_smoothing=smoothing)


def binary_cross_entropy(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean of −y log σ(scores) − (1 − y) log(1 − σ(scores)) over rows and labels, in nats.

    `scores`, `targets [N, C]`, 0 or 1 or shares in between. With smoothing ε a target y is (1 − ε) y + ε / 2.
    """
    wanted = targets.to(scores.dtype) * (1.0 - smoothing) + smoothing / 2.0
    return functional.binary_cross_entropy_with_logits(scores, wanted)


def squared_error(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean of (scores − y)² over rows and targets, `[N, T]`; numbers are never smoothed."""
    return functional.mse_loss(scores, targets.to(scores.dtype))


LOSSES: dict[str, Loss] = {
    "multiclass": cross_entropy,
    "multilabel": binary_cross_entropy,
    "regression": squared_error,
}


def task_loss(kind: TaskKind, scores: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The training loss of a task of this kind: `scores` [N, C] in float32, `targets` as the kind has them."""
    if kind not in LOSSES:
        raise UserError(f"nothing is known of training for a task of kind '{kind}'", expected=" or ".join(LOSSES))
    return LOSSES[kind](scores.float(), targets.to(scores.device), smoothing)


def mixable(targets: Tensor, classes: int) -> Tensor:
    """Targets that can be averaged: class numbers [N] become one-hot shares [N, C], what is not whole numbers stays."""
    if targets.is_floating_point():
        return targets
    return functional.one_hot(targets, classes).to(torch.float32) if targets.dim() == 1 else targets.float()
