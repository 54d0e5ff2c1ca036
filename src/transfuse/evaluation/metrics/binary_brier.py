"""Mean squared distance between each label's probability and its truth: no single label can dominate it.

`mean_i mean_c (p[i, c] - y[i, c])^2`, between 0 and 1.
"""

from __future__ import annotations

import numpy as np

CITATION = "Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review, 1950"
TRAITS = {
    "direction": "lower",
    "unit": "squared error",
    "item_mean": True,
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: its squared distance, mean over labels, and 1. [N, C], [N, C] -> [N, 2]."""
    distance = np.square(probs - targets).mean(axis=1)
    return np.stack([distance, np.ones(len(distance))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Summed distance over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
