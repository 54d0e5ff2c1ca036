"""Share of labels that are answered right, over all items: what one minus the Hamming loss is called.

A label is answered yes from a probability of 1/2 on. Where labels are rare, saying never is right most of the time.
"""

from __future__ import annotations

import numpy as np

CITATION = "Schapire, Singer, BoosTexter: a boosting-based system for text categorization, Machine Learning, 2000"
TRAITS = {
    "direction": "higher",
    "unit": "share",
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def per_item(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """The share of its labels that are right. [N, C], [N, C] -> [N]."""
    return ((probs >= 0.5) == (targets == 1)).mean(axis=1)
