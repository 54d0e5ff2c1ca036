"""Mean squared distance between each label's probability and its truth: no single label can dominate it.

`mean_i mean_c (p[i, c] - y[i, c])^2`, between 0 and 1.
"""

from __future__ import annotations

import numpy as np

CITATION = "Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review, 1950"
TRAITS = {
    "direction": "lower",
    "unit": "squared error",
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its squared distance, mean over labels. [N, C], [N, C] -> [N]."""
    return np.square(probs - targets).mean(axis=1)
