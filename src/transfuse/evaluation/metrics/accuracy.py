"""Share of items whose most probable class is the true one: the number people ask for first.

Ties go to the lower class number, as in `numpy.argmax`.
"""

from __future__ import annotations

import numpy as np

TRAITS = {"direction": "higher", "unit": "share", "item_mean": True, "low": 0.0, "high": 1.0, "takes": "probabilities"}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: 1 if right else 0, and 1. [N], [N, C] -> [N, 2]."""
    right = (probs.argmax(axis=1) == targets).astype(np.float64)
    return np.stack([right, np.ones(len(right))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Right answers over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
