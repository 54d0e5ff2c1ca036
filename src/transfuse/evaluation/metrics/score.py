"""Mean of per-item scores of anything, higher is better: without it only classifiers could be compared.

The one column of `probs [N, 1]` holds the scores (an average precision, a reward, a judge's mark); targets are not
used.
"""

from __future__ import annotations

import numpy as np

TRAITS = {
    "direction": "higher",
    "unit": "",
    "low": None,
    "high": None,
    "takes": "scores",
    "kinds": "scores",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Its score. [N], [N, 1] -> [N]."""
    return probs[:, 0]
