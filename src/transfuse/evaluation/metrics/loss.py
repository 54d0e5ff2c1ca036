"""Mean of per-item losses of anything, lower is better: the mirror of `score` for errors, distances and times.

The one column of `probs [N, 1]` holds the losses; targets are not used.
"""

from __future__ import annotations

import numpy as np

TRAITS = {
    "direction": "lower",
    "unit": "",
    "low": None,
    "high": None,
    "takes": "scores",
    "kinds": "scores",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its loss. [N], [N, 1] -> [N]."""
    return probs[:, 0]
