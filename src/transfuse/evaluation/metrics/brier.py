"""Mean squared distance between the probabilities and the true class: a proper score that no single item can dominate.

`mean_i sum_c (p[i, c] - [y_i = c])^2`, summed over classes, hence between 0 and 2 (for two classes twice the
one-column form some libraries use).
"""

from __future__ import annotations

import numpy as np

CITATION = "Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review, 1950"
TRAITS = {
    "direction": "lower",
    "unit": "squared error",
    "low": 0.0,
    "high": 2.0,
    "takes": "probabilities",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its squared distance. [N], [N, C] -> [N]."""
    true = np.take_along_axis(probs, targets[:, None].astype(np.intp), axis=1)[:, 0]
    # |p - e_y|^2 = |p|^2 - 2 p_y + 1 needs no [N, C] one-hot copy.
    return np.maximum(np.einsum("nc,nc->n", probs, probs) - 2.0 * true + 1.0, 0.0)
