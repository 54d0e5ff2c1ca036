"""Share of labels that are answered right, over all items: what one minus the Hamming loss is called.

A label is answered yes from a probability of 1/2 on. Where labels are rare, saying never is right most of the time.
"""

from __future__ import annotations

import numpy as np

CITATION = "Schapire, Singer, BoosTexter: a boosting-based system for text categorization, Machine Learning, 2000"
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
    """Per item: the share of its labels that are right, and 1. [N, C], [N, C] -> [N, 2]."""
    right = ((probs >= 0.5) == (targets == 1)).mean(axis=1)
    return np.stack([right, np.ones(len(right))], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Summed shares over items. [..., 2] -> [...]."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
