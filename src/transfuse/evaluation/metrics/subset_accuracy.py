"""Share of items all of whose labels are answered right: the strictest reading of a multilabel answer.

A label is answered yes from a probability of 1/2 on.
"""

from __future__ import annotations

import numpy as np

CITATION = "Ghamrawi, McCallum, Collective multi-label classification, CIKM 2005"
TRAITS = {
    "direction": "higher",
    "unit": "share",
    "item_mean": True,
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: 1 if every label is right else 0, and 1. [N, C], [N, C] -> [N, 2]."""
    right = ((probs >= 0.5) == (targets == 1)).all(axis=1).astype(np.float64)
    return np.stack([right, np.ones(len(right))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Items that are right in every label, over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
