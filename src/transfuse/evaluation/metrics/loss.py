"""Mean of per-item losses of anything, lower is better: the mirror of `score` for errors, distances and times.

The one column of `probs [N, 1]` holds the losses; targets are not used.
"""

from __future__ import annotations

import numpy as np

TRAITS = {
    "direction": "lower",
    "unit": "",
    "item_mean": True,
    "low": None,
    "high": None,
    "takes": "scores",
    "kinds": "scores",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: its loss, and 1. [N], [N, 1] -> [N, 2]."""
    return np.stack([probs[:, 0], np.ones(len(probs))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Summed loss over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
