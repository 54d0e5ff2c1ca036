"""Mean absolute distance of the predicted numbers from the true ones: a few wild errors weigh no more than they are.

`mean_i mean_t |p[i, t] - y[i, t]|` in the unit of the targets.
"""

from __future__ import annotations

import numpy as np

CITATION = "Laplace, Théorie analytique des probabilités, 1812"
TRAITS = {
    "direction": "lower",
    "unit": "units",
    "low": 0.0,
    "high": None,
    "takes": "values",
    "kinds": "regression",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its absolute error, mean over targets. [N, T], [N, T] -> [N]."""
    return np.abs(probs - targets).mean(axis=1)
