"""The loss on held rows by which rates and epochs are chosen, without torch: the usual one of the task's kind."""

from __future__ import annotations

import numpy as np

from transfuse.types import TaskKind


def log_loss(scores: np.ndarray, targets: np.ndarray) -> float:
    """Mean negative log-probability of the true class, in nats. Logits [N, C], class numbers [N]."""
    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):  # an infinite score makes the loss NaN, which the caller reports
        shifted = wide - wide.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return float((normaliser - shifted[np.arange(len(targets)), targets]).mean())


def held_loss(kind: TaskKind, scores: np.ndarray, targets: np.ndarray) -> float:
    """Mean over rows: log-loss of classes in nats, binary log-loss over labels, squared error in the targets' unit.

    `scores [N, C]` are logits, or numbers [N, T]; no temperature yet. A score that is no number gives NaN.
    """
    if kind == "multiclass":
        return log_loss(scores, targets)
    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        if kind == "regression":
            return float(np.square(wide - targets).mean())
        # log(1 + e^z) − y z, without overflow.
        return float((np.maximum(wide, 0.0) - wide * targets + np.log1p(np.exp(-np.abs(wide)))).mean())


def spread_of(targets: np.ndarray) -> np.ndarray:
    """Standard deviation of each target over training rows [N, T] -> [T]; 1 where all are the same."""
    spread = targets.std(axis=0)
    return np.where(spread > 0, spread, 1.0)
