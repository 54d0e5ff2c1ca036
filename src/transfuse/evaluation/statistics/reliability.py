"""Confidence against accuracy, bin by bin: without the bins a calibration error does not say where an arm is wrong."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.metrics.ece import BINS


def reliability_bins(confidence: np.ndarray, right: np.ndarray) -> list[tuple[float, float, float, float, int]]:
    """(low, high, mean confidence, accuracy, answers) of each of 15 equal-width bins that holds any. [N], [N].

    Bins are closed on the right, as in `metrics/ece`, so a confidence of 1 belongs to the last one.
    """
    edges = np.arange(BINS + 1) / BINS
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    count = np.bincount(place, minlength=BINS)
    sure, hits = (np.bincount(place, weights=values, minlength=BINS) for values in (confidence, right))
    return [
        (float(edges[b]), float(edges[b + 1]), float(sure[b] / count[b]), float(hits[b] / count[b]), int(count[b]))
        for b in range(BINS)
        if count[b]
    ]


def adaptive_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Σ_b |Σ_b (confidence − right)| / N over 15 bins of as equal a number of items as can be. [N], [N].

    Items of equal confidence are never put apart: bins end where the confidence changes, and N items of one confidence
    are one bin. Nguyen, O'Connor, 2015; Nixon et al., 2019.
    """
    total = len(confidence)
    order = np.argsort(confidence, kind="stable")
    sure, gap = confidence[order], (confidence - right)[order]
    cuts = np.searchsorted(sure, sure[np.arange(1, BINS) * total // BINS], side="left")
    starts = np.unique(np.concatenate([[0], cuts]))
    return float(np.abs(np.add.reduceat(gap, starts)).sum() / total)
