"""Area under the ROC curve of each label, mean over labels: the chance that an item with a label ranks before one
without, ties counted half.

A label that all items have, or none, is left out. A metric of ranks takes item weights: on a resample an item counts as
often as it was drawn.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.statistics.rank import mean_of_labels

CITATION = "Hanley, McNeil, The meaning and use of the area under a ROC curve, Radiology, 1982"
TRAITS = {
    "direction": "higher",
    "unit": "share",
    "low": 0.0,
    "high": 1.0,
    "takes": "ranks",
    "kinds": "multilabel",
    "form": "weighted",
}


def weighted(targets: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The metric under each row of item weights; NaN where no label has both. [N, C], [N, C], [R, N] -> [R]."""
    return mean_of_labels(_area, targets, probs, weights)


def _area(hits: np.ndarray, misses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An item without the label is beaten by all that come before it, and by half of those it is tied with."""
    tied, before = np.diff(hits, axis=1, prepend=0.0), np.diff(misses, axis=1, prepend=0.0)
    return (before * (hits - tied / 2.0)).sum(axis=1), hits[:, -1] * misses[:, -1]
