"""What a metric makes of items, as sums over them; without it each metric would count its items by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np


def sums_of(law: Any) -> dict[str, Any] | None:
    """`columns`, `finish` and `item_mean` of a module or object as `evaluation/metrics` describes them, None where it
    is no function of sums over items."""
    per_item, columns, finish = (_function(law, name) for name in ("per_item", "columns", "finish"))
    if per_item is not None:
        return {
            "columns": functools.partial(_with_count, per_item),
            "finish": finish or mean,
            "item_mean": finish is None,
        }
    return None if columns is None or finish is None else {"columns": columns, "finish": finish, "item_mean": False}


def mean(sums: np.ndarray) -> np.ndarray:
    """Summed values over items, NaN without any. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


def _with_count(
    per_item: Callable[[np.ndarray, np.ndarray], np.ndarray], targets: np.ndarray, probs: np.ndarray
) -> np.ndarray:
    values = per_item(targets, probs)
    return np.stack([values, np.ones(len(values))], axis=1)


def _function(law: Any, name: str) -> Callable[..., np.ndarray] | None:
    found = getattr(law, name, None)
    return cast("Callable[..., np.ndarray]", found) if callable(found) else None
