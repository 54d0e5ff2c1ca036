"""Accuracy on the class that is served worst: without it a fusion could buy its mean with one class's loss.

`min_c right_c / items_c` over the classes that occur; biased downwards where classes are small.
"""

from __future__ import annotations

import numpy as np

TRAITS = {"direction": "higher", "unit": "share", "low": 0.0, "high": 1.0, "takes": "probabilities"}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: right in its class's column, then 1 in its class's count column. [N], [N, C] -> [N, 2C]."""
    count, classes = probs.shape
    found = np.zeros((count, 2 * classes))
    rows = np.arange(count)
    found[rows, targets] = probs.argmax(axis=1) == targets
    found[rows, classes + targets] = 1.0
    return found


def finish(sums: np.ndarray) -> np.ndarray:
    """Lowest share among classes with items; NaN where there is none. [..., 2C] -> [...]."""
    classes = sums.shape[-1] // 2
    right, items = sums[..., :classes], sums[..., classes:]
    share = np.divide(right, items, out=np.full(right.shape, np.inf), where=items > 0)
    lowest = share.min(axis=-1)
    return np.where(np.isfinite(lowest), lowest, np.nan)
