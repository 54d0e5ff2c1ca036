"""The lift of the outputs family: what every pooling of predictions needs done around it.

Members' scores become probabilities, rows are checked, and what comes back is held to the simplex.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from transfuse.errors import UserError
from transfuse.registry import Entry

SIMPLEX_TOLERANCE = 1e-6


def probabilities(scores: np.ndarray, scale: str) -> np.ndarray:
    """Scores [..., N, C] as float64 probabilities; logits by a stable softmax, probabilities renormalised.

    Raises UserError for NaN, infinity, another scale, and for rows that are no probabilities: none may be negative, and
    each must sum to more than zero.
    """
    if scale not in ("logit", "probability"):
        raise UserError("these scores cannot be pooled", expected="logits or probabilities", got=f"scale '{scale}'")
    wide = scores.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UserError("a member's scores hold NaN or infinity", got=f"{int((~np.isfinite(wide)).sum())} such entries")
    if scale == "logit":
        wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
    elif (wide < 0).any() or not (wide.sum(axis=-1) > 0).all():
        raise UserError("a member's scores are no probabilities", expected="rows of numbers ≥ 0 with a sum above 0")
    return wide / wide.sum(axis=-1, keepdims=True)


def fit(entry: Entry, members: np.ndarray, targets: np.ndarray, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Fit the method on rows apart: `members [K, N, C]` probabilities, `targets [N]`.

    Raises UserError for settings that the method refuses.
    """
    return entry.load().fit(members, targets, **entry.settings(settings))


def apply(entry: Entry, state: dict[str, np.ndarray], members: np.ndarray) -> np.ndarray:
    """Pool `[K, N, C] -> [N, C]` and check that each row is a probability vector."""
    pooled = np.asarray(entry.load().apply(state, members), dtype=np.float64)
    if pooled.shape != members.shape[1:]:
        raise ValueError(f"{entry.full_name} returned {pooled.shape}, expected {members.shape[1:]}")
    # Said as what must hold, because NaN fails every comparison.
    if not ((pooled >= -SIMPLEX_TOLERANCE).all() and (np.abs(pooled.sum(axis=1) - 1) <= SIMPLEX_TOLERANCE).all()):
        raise ValueError(f"{entry.full_name} returned rows that are not probabilities")
    return np.clip(pooled, 0.0, 1.0)
