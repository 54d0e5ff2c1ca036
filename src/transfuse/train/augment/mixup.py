"""Mixup trains on weighted means of two images and of their labels.

    x = λ x_i + (1 − λ) x_j,   y = λ y_i + (1 − λ) y_j,   λ ~ Beta(α, α), one λ a batch

`j` is a random order of the batch. A mean of two canvases is a canvas.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfuse.train.augment import mixed, mixed_targets, partners
from transfuse.train.batches import Batch

CITATION = "Zhang et al., mixup: beyond empirical risk minimization, ICLR 2018"
PARAMETERS = {
    "alpha": {"type": "float", "default": 0.2, "low": 0.01, "high": 100.0, "doc": "of Beta(alpha, alpha); 1: uniform"},
}
TRAITS = {"on": "canvas", "kinds": "multiclass, multilabel, regression"}


def augment(batch: Batch, rng: np.random.Generator, classes: int, *, alpha: float) -> Batch:
    """The batch with every row mixed with one other."""
    share, other = float(rng.beta(alpha, alpha)), partners(batch, rng)
    inputs = [mixed(values, other, share) for values in batch.inputs]
    return replace(batch, inputs=inputs, targets=mixed_targets(batch, other, share, classes))
