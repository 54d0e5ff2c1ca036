"""Mean squared distance of the predicted numbers from the true ones: the loss that the mean minimises.

`mean_i mean_t (p[i, t] - y[i, t])^2` in the squared unit of the targets; targets of several units should be brought to
one beforehand, or judged by `r2`.
"""

from __future__ import annotations

import numpy as np

CITATION = "Gauss, Theoria combinationis observationum erroribus minimis obnoxiae, 1823"
TRAITS = {
    "direction": "lower",
    "unit": "units²",
    "item_mean": True,
    "low": 0.0,
    "high": None,
    "takes": "values",
    "kinds": "regression",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: its squared error, mean over targets, and 1. [N, T], [N, T] -> [N, 2]."""
    error = np.square(probs - targets).mean(axis=1)
    return np.stack([error, np.ones(len(error))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Summed error over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
