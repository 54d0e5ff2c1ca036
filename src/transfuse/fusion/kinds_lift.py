"""Pooling answers of every kind of task; without it methods for classes would be of no use for labels or numbers.

A label that may hold or not is a question of two classes: all labels of all items stand below one another, and a method
learns from them and pools them as it does rows of classes. It treats labels alike. Numbers of a regression go through
methods that hold for them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.registry import Entry, kinds_of
from transfuse.types import TaskKind


def answers(scores: np.ndarray, scale: str, kind: TaskKind) -> np.ndarray:
    """Scores [..., N, C] as what is pooled: probabilities of classes, probabilities of labels, or numbers; float64.

    Raises UserError for NaN, infinity, another scale than the kind has, and probabilities outside [0, 1].
    """
    if kind == "multiclass":
        return outputs_lift.probabilities(scores, scale)
    wide = scores.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UserError("a member's scores hold NaN or infinity", got=f"{int((~np.isfinite(wide)).sum())} such entries")
    known = ("value",) if kind == "regression" else ("logit", "probability")
    if scale not in known:
        raise UserError("these scores cannot be pooled", expected=" or ".join(known), got=f"scale '{scale}'")
    if scale == "logit":
        return expit(wide)
    if scale == "probability" and ((wide < 0).any() or (wide > 1).any()):
        raise UserError("a member's scores are no probabilities of labels", expected="numbers in [0, 1]")
    return wide


def check(entry: Entry, kind: TaskKind, *, where: str | None = None) -> None:
    """Refuse a method that does not hold for this kind of task."""
    if kind not in kinds_of(entry):
        raise UserError(
            f"{entry.full_name} does not hold for a {kind} task",
            where=where,
            expected="a task of " + " or ".join(kinds_of(entry)),
        )


def fit(
    entry: Entry, members: np.ndarray, targets: np.ndarray, settings: Mapping[str, Any], kind: TaskKind
) -> dict[str, np.ndarray]:
    """Fit the method on rows apart: `members [K, N, C]` answers, `targets` as the kind has them."""
    check(entry, kind)
    if kind == "multilabel":
        return outputs_lift.fit(entry, _questions(members), targets.ravel().astype(np.int64), settings)
    return outputs_lift.fit(entry, members, targets, settings)


def apply(entry: Entry, state: dict[str, np.ndarray], members: np.ndarray, kind: TaskKind) -> np.ndarray:
    """Pool `[K, N, C] -> [N, C]`; checked to be probabilities of classes or labels, or finite numbers."""
    if kind == "multiclass":
        return outputs_lift.apply(entry, state, members)
    if kind == "multilabel":
        return outputs_lift.apply(entry, state, _questions(members))[:, 1].reshape(members.shape[1:])
    pooled = np.asarray(entry.load().apply(state, members), dtype=np.float64)
    if pooled.shape != members.shape[1:] or not np.isfinite(pooled).all():
        raise ValueError(f"{entry.full_name} returned {pooled.shape} or NaN, expected numbers {members.shape[1:]}")
    return pooled


def _questions(members: np.ndarray) -> np.ndarray:
    """Every label of every item as a question of two classes, no and yes. [K, N, C] -> [K, N C, 2]."""
    yes = members.reshape(len(members), -1)
    return np.stack([1.0 - yes, yes], axis=2)
