"""Feature mixup trains on weighted means of two items' features, in every source alike, and of their labels.

    h_k = λ h_k,i + (1 − λ) h_k,j  for every source k,   y = λ y_i + (1 − λ) y_j,   λ ~ Beta(α, α), one λ an item

The features of frozen sources are computed once, so nothing nearer to the image can be mixed there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from transfuse.train.augment import mixed, mixed_targets, partners
from transfuse.train.batches import Batch

CITATION = "Verma et al., Manifold mixup, ICML 2019"
PARAMETERS = {
    "alpha": {"type": "float", "default": 0.4, "low": 0.01, "high": 100.0, "doc": "of Beta(alpha, alpha); 1: uniform"},
}
TRAITS = {"on": "blocks", "kinds": "multiclass, multilabel, regression"}


def augment(batch: Batch, rng: np.random.Generator, classes: int, *, alpha: float) -> Batch:
    """The batch with every row's blocks mixed with those of one other."""
    share = torch.from_numpy(rng.beta(alpha, alpha, size=len(batch.rows)).astype(np.float32))
    other = partners(batch, rng)
    inputs = [mixed(values, other, share) for values in batch.inputs]
    return replace(batch, inputs=inputs, targets=mixed_targets(batch, other, share, classes))
