"""Average precision of each label, mean over labels: how well items that have a label are ranked before the others.

`AP_c = sum_t (R_t - R_{t-1}) P_t` over the distinct probabilities t, from high to low; a label that no item has is left
out. A metric of ranks takes item weights: on a resample an item counts as often as it was drawn.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.statistics.rank import mean_of_labels

CITATION = "Zhu, Recall, precision and average precision, University of Waterloo, 2004; sum over steps, not trapezoids"
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
    """The metric under each row of item weights; NaN where no label occurs. [N, C], [N, C], [R, N] -> [R]."""
    return mean_of_labels(_area, targets, probs, weights)


def _area(hits: np.ndarray, misses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each step of recall counts with the precision reached by its end."""
    seen = hits + misses
    precision = np.divide(hits, seen, out=np.zeros(hits.shape), where=seen > 0)
    return (np.diff(hits, axis=1, prepend=0.0) * precision).sum(axis=1), hits[:, -1]
