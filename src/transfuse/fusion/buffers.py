"""What becomes of tensors that are no weights: without it a task vector could make a variance negative.

BatchNorm's running statistics describe data that went through one network; whatever a method does to weights, they are
averaged with shares that are never negative, or taken from the first member. They are right for none of the members'
mixtures: `repair.py` estimates them anew where there are images. Counters and other integers are never averaged.

    mean      mu = sum_k s_k mu_k,   var = sum_k s_k var_k    s = max(w, 0) / sum max(w, 0), or equal
    moments   the same mean, var = sum_k s_k (var_k + mu_k^2) - mu^2: of the members' outputs taken together
    first     the first member's
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.source.weights import Reader

STATISTICS = ("mean", "moments", "first")
COUNTERS = ("largest", "sum", "first")
MEAN, VARIANCE, COUNTER = "running_mean", "running_var", "num_batches_tracked"


@dataclass(frozen=True)
class Buffers:
    """How BatchNorm's running statistics and its counters are merged. Raises UserError for unknown words."""

    statistics: str = "mean"
    counters: str = "largest"

    def __post_init__(self) -> None:
        if self.statistics not in STATISTICS:
            raise unknown_name("policy for statistics", self.statistics, STATISTICS)
        if self.counters not in COUNTERS:
            raise unknown_name("policy for counters", self.counters, COUNTERS)


def what_is_no_weight(name: str, names: Collection[str]) -> bool:
    """Whether a tensor is a running statistic: its name says so, and its partner is there too."""
    stem, _, last = name.rpartition(".")
    partner = {MEAN: VARIANCE, VARIANCE: MEAN}.get(last)
    return partner is not None and (f"{stem}.{partner}" if stem else partner) in names


def integers(name: str, members: Sequence[Reader], how: Buffers) -> np.ndarray:
    """An integer tensor of the result, flat: a counter by its policy, of anything else the largest."""
    rows = np.stack([reader.read(name).reshape(-1) for reader in members])
    policy = how.counters if name.rpartition(".")[2] == COUNTER else "largest"
    if policy == "first":
        return rows[0]
    return rows.sum(axis=0, dtype=rows.dtype) if policy == "sum" else rows.max(axis=0)


def statistics(name: str, members: Mapping[str, Reader], weights: np.ndarray, how: Buffers) -> np.ndarray:
    """A running statistic of the result, flat, in float64. Raises UserError for negative variances, NaN, infinity."""
    rows = _rows(name, members)
    if how.statistics == "first":
        return rows[0]
    share = np.maximum(weights, 0.0)
    share = share / share.sum() if share.sum() > 0 else np.full(len(rows), 1.0 / len(rows))
    if how.statistics == "mean" or name.endswith(MEAN):
        return share @ rows
    means = _rows(name.removesuffix(VARIANCE) + MEAN, members)
    return np.maximum(share @ (rows + means**2) - (share @ means) ** 2, 0.0)


def _rows(name: str, members: Mapping[str, Reader]) -> np.ndarray:
    """The members' values, [K, n] float64."""
    rows = np.stack([reader.read(name).reshape(-1).astype(np.float64) for reader in members.values()])
    for source, row in zip(members, rows, strict=True):
        if not np.isfinite(row).all():
            raise UserError(f"tensor '{name}' of '{source}' holds NaN or infinity, so it cannot be merged")
        if name.endswith(VARIANCE) and (row < 0).any():
            raise UserError(
                f"tensor '{name}' of '{source}' holds negative variances",
                got=f"down to {row.min():g}",
                hint="this network cannot run; estimate its statistics anew before it is merged",
            )
    return rows
