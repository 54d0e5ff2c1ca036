"""Calibration error without what chance adds: without it few items make a well calibrated arm look badly calibrated.

The gap of a bin, confidence − accuracy, is known only up to the luck of its n items, and |gap| is larger on average
than the true one. That excess is estimated, with gap ~ N(gap, σ² = accuracy (1 − accuracy) / n), and taken off:
`sum_b n_b / N · (2 |gap_b| − E|N(gap_b, σ_b²)|)`, not below 0, over the bins of `ece`. The mean of the folded normal is
σ √(2/π) exp(−gap² / 2σ²) + gap (1 − 2 Φ(−gap / σ)). A bin of one item has σ = 0 and keeps its gap.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from transfuse.evaluation.metrics.ece import BINS
from transfuse.evaluation.metrics.ece import columns as gap_columns

CITATION = "Kumar, Liang, Ma, Verified uncertainty calibration, NeurIPS 2019"
TRAITS = {"direction": "lower", "unit": "share", "low": 0.0, "high": 1.0, "takes": "probabilities"}


def columns(targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Per item, in its bin's column: confidence minus right, then right, then 1. [N], [N, C] -> [N, 45]."""
    gaps = gap_columns(targets, probs)[:, :BINS]
    inner_edges = np.arange(1, BINS) / BINS
    place = np.searchsorted(inner_edges, probs.max(axis=1), side="left")
    rows = np.arange(len(gaps))
    found = np.zeros((len(gaps), 2 * BINS))
    found[rows, place] = probs.argmax(axis=1) == targets
    found[rows, BINS + place] = 1.0
    return np.concatenate([gaps, found], axis=1)


def finish(sums: np.ndarray) -> np.ndarray:
    """Gaps less their expected excess, weighted by the bins' items; NaN where there is no item. [..., 45] -> [...]."""
    gap_sum, right, count = sums[..., :BINS], sums[..., BINS : 2 * BINS], sums[..., 2 * BINS :]
    held = np.maximum(count, 1.0)
    gap, accuracy = np.abs(gap_sum) / held, np.clip(right / held, 0.0, 1.0)
    spread = np.sqrt(accuracy * (1.0 - accuracy) / held)
    ratio = np.divide(gap, spread, out=np.full(gap.shape, np.inf), where=spread > 0)
    folded = spread * np.sqrt(2.0 / np.pi) * np.exp(-(ratio**2) / 2.0) + gap * erf(ratio / np.sqrt(2.0))
    with np.errstate(invalid="ignore"):
        return np.maximum((count * (2.0 * gap - folded)).sum(axis=-1), 0.0) / count.sum(axis=-1)
