"""Mean absolute distance of the predicted numbers from the true ones: a few wild errors weigh no more than they are.

`mean_i mean_t |p[i, t] - y[i, t]|` in the unit of the targets.
"""

from __future__ import annotations

import numpy as np

CITATION = "Laplace, Théorie analytique des probabilités, 1812"
TRAITS = {
    "direction": "lower",
    "unit": "units",
    "item_mean": True,
    "low": 0.0,
    "high": None,
    "takes": "values",
    "kinds": "regression",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: its absolute error, mean over targets, and 1. [N, T], [N, T] -> [N, 2]."""
    error = np.abs(probs - targets).mean(axis=1)
    return np.stack([error, np.ones(len(error))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Summed error over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
