"""Root of the mean squared error: the same as `squared_error`, in the unit that people think in.

`sqrt( mean_i mean_t (p[i, t] - y[i, t])^2 )`; one root over all targets.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.metrics import squared_error
from transfuse.evaluation.sums import mean

CITATION = "Gauss, Theoria combinationis observationum erroribus minimis obnoxiae, 1823"
TRAITS = {
    "direction": "lower",
    "unit": "units",
    "low": 0.0,
    "high": None,
    "takes": "values",
    "kinds": "regression",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its squared error, mean over targets. [N, T], [N, T] -> [N]."""
    return squared_error.per_item(targets, probs)


def finish(sums: np.ndarray) -> np.ndarray:
    """The root of summed error over items. [..., 2] -> [...]."""
    return np.sqrt(mean(sums))
