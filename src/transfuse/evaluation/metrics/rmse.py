"""Root of the mean squared error: the same as `squared_error`, in the unit that people think in.

`sqrt( mean_i mean_t (p[i, t] - y[i, t])^2 )`; one root over all targets.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.metrics.squared_error import columns as squared

CITATION = "Gauss, Theoria combinationis observationum erroribus minimis obnoxiae, 1823"
TRAITS = {
    "direction": "lower",
    "unit": "units",
    "item_mean": False,
    "low": 0.0,
    "high": None,
    "takes": "values",
    "kinds": "regression",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: its squared error, mean over targets, and 1. [N, T], [N, T] -> [N, 2]."""
    return squared(targets, probs)


def finish(sums: np.ndarray) -> np.ndarray:
    """The root of summed error over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(sums[..., 0] / sums[..., 1])
