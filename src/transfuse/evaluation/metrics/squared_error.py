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
    "low": 0.0,
    "high": None,
    "takes": "values",
    "kinds": "regression",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its squared error, mean over targets. [N, T], [N, T] -> [N]."""
    return np.square(probs - targets).mean(axis=1)
