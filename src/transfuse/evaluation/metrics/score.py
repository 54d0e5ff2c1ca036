"""Mean of per-item scores of anything, higher is better: without it only classifiers could be compared.

The one column of `probs [N, 1]` holds the scores (an average precision, a reward, a judge's mark); targets are not
used.
"""

from __future__ import annotations

import numpy as np

TRAITS = {
    "direction": "higher",
    "unit": "",
    "item_mean": True,
    "low": None,
    "high": None,
    "takes": "scores",
    "kinds": "scores",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: its score, and 1. [N], [N, 1] -> [N, 2]."""
    return np.stack([probs[:, 0], np.ones(len(probs))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Summed score over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
