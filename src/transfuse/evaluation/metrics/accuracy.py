"""Share of items whose most probable class is the true one: the number people ask for first.

Ties go to the lower class number, as in `numpy.argmax`.
"""

from __future__ import annotations

import numpy as np

TRAITS = {"direction": "higher", "unit": "share", "low": 0.0, "high": 1.0, "takes": "probabilities"}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """1 if right else 0. [N], [N, C] -> [N]."""
    return (probs.argmax(axis=1) == targets).astype(np.float64)
