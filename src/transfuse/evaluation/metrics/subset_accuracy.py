"""Share of items all of whose labels are answered right: the strictest reading of a multilabel answer.

A label is answered yes from a probability of 1/2 on.
"""

from __future__ import annotations

import numpy as np

CITATION = "Ghamrawi, McCallum, Collective multi-label classification, CIKM 2005"
TRAITS = {
    "direction": "higher",
    "unit": "share",
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """1 if every label is right else 0. [N, C], [N, C] -> [N]."""
    return ((probs >= 0.5) == (targets == 1)).all(axis=1).astype(np.float64)
