"""Calibration error of each label's probability, mean over labels: a good mean could hide one label that is never sure.

`mean_c sum_b |sum_{i in b} (p[i, c] - y[i, c])| / N` over 15 equal-width bins of the label's probability, closed on the
right as in `ece`. Biased upwards on few items.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.metrics.ece import BINS

CITATION = "Naeini, Cooper, Hauskrecht, AAAI 2015; Kull et al., NeurIPS 2019 (one class at a time)"
TRAITS = {
    "direction": "lower",
    "unit": "share",
    "low": 0.0,
    "high": 1.0,
    "takes": "probabilities",
    "kinds": "multilabel",
}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: probability minus truth in its bin's column, label after label, and 1. [N, C] -> [N, 15 C + 1]."""
    count, labels = probs.shape
    place = np.searchsorted(np.arange(1, BINS) / BINS, probs, side="left") + BINS * np.arange(labels)
    found = np.zeros((count, BINS * labels + 1))
    np.put_along_axis(found, place, probs - targets, axis=1)
    found[:, -1] = 1.0
    return found


def finish(sums: np.ndarray) -> np.ndarray:
    """Absolute bin gaps over labels and items. [..., 15 C + 1] -> [...]."""
    labels = (sums.shape[-1] - 1) // BINS
    with np.errstate(invalid="ignore"):
        return np.abs(sums[..., :-1]).sum(axis=-1) / (labels * sums[..., -1])
