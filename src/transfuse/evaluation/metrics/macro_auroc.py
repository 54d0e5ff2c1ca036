"""Area under the ROC curve of each label, mean over labels: the chance that an item with a label ranks before one
without, ties counted half.

A label that all items have, or none, is left out. A metric of ranks takes item weights: on a resample an item counts as
often as it was drawn.
"""

from __future__ import annotations

import numpy as np

CITATION = "Hanley, McNeil, The meaning and use of the area under a ROC curve, Radiology, 1982"
TRAITS = {
    "direction": "higher",
    "unit": "share",
    "item_mean": False,
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multilabel",
    "form": "weighted",
}


def weighted(targets: np.ndarray, probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The metric under each row of item weights; NaN where no label has both. [N, C], [N, C], [R, N] -> [R]."""
    total, known = np.zeros(len(weights)), np.zeros(len(weights))
    for truth, scores in zip(targets.T, probs.T, strict=True):
        order = np.argsort(-scores, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        drawn = weights[:, order]
        hits = np.cumsum(drawn * truth[order], axis=1)[:, ends]
        misses = np.cumsum(drawn, axis=1)[:, ends] - hits
        before = np.diff(misses, axis=1, prepend=0.0)
        # An item without the label is beaten by all that come before it, and by half of those it is tied with.
        area = (before * (hits - np.diff(hits, axis=1, prepend=0.0) / 2.0)).sum(axis=1)
        pairs = hits[:, -1] * misses[:, -1]
        total += np.divide(area, pairs, out=np.zeros(len(area)), where=pairs > 0)
        known += pairs > 0
    with np.errstate(invalid="ignore"):
        return total / known
