"""Expected calibration error: how far confidence lies from accuracy, bin by bin; log-loss does not tell the two apart.

`sum_b |sum_{i in b} (confidence_i - right_i)| / N` over 15 equal-width bins of the highest probability. Bins are closed
on the right, so a confidence of exactly 1.0 belongs to the last bin (and 0.0 to the first). Biased upwards on few
items.
"""

from __future__ import annotations

import numpy as np

CITATION = "Naeini, Cooper, Hauskrecht, AAAI 2015; Guo, Pleiss, Sun, Weinberger, ICML 2017"
TRAITS = {"direction": "lower", "unit": "share", "low": 0.0, "high": 1.0, "takes": "probabilities"}
BINS = 15


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item: confidence minus right in its bin's column, and 1. [N], [N, C] -> [N, 16]."""
    confidence = probs.max(axis=1)
    gap = confidence - (probs.argmax(axis=1) == targets)
    inner_edges = np.arange(1, BINS) / BINS
    found = np.zeros((len(gap), BINS + 1))
    found[np.arange(len(gap)), np.searchsorted(inner_edges, confidence, side="left")] = gap
    found[:, BINS] = 1.0
    return found


def finish(sums: np.ndarray) -> np.ndarray:
    """Absolute bin gaps over items. [..., 16] -> [...]."""
    with np.errstate(invalid="ignore"):
        return np.abs(sums[..., :BINS]).sum(axis=-1) / sums[..., BINS]
