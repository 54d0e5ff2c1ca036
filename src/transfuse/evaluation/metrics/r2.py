"""Share of the targets' variance that the predictions explain, mean over targets: comparable between units.

`R2_t = 1 - sum_i (p - y)^2 / sum_i (y - mean y)^2`, with the mean of the judged items; 0 is as good as that mean, below
0 worse. A target that is the same for all items has none, and where no target varies the metric does not exist.
"""

from __future__ import annotations

import numpy as np

CITATION = "Wright, Correlation and causation, Journal of Agricultural Research, 1921"
TRAITS = {
    "direction": "higher",
    "unit": "",
    "low": None,
    "high": 1.0,
    "takes": "values",
    "kinds": "regression",
}
# A variance of this share of the mean square is the rounding of targets that do not vary.
ROUNDING = 1e-12


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item and target: squared error, target less the column's mean, its square; and 1. [N, T] -> [N, 3 T + 1]."""
    # Shifted targets have the same variance, and lose no digits where they are far from 0.
    centred = targets - targets.mean(axis=0)
    error = np.square(probs - targets)
    return np.concatenate([error, centred, np.square(centred), np.ones((len(targets), 1))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Mean over targets that vary; NaN where none does. [..., 3 T + 1] -> [...]."""
    width = (sums.shape[-1] - 1) // 3
    error, total, squares, count = np.split(sums, [width, 2 * width, 3 * width], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = squares - np.square(total) / count
        varies = spread > ROUNDING * np.maximum(squares, 1e-300)
        ratio = np.divide(error, spread, out=np.zeros(error.shape), where=varies)
        return np.where(varies, 1.0 - ratio, 0.0).sum(axis=-1) / varies.sum(axis=-1)
