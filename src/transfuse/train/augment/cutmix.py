"""CutMix pastes a rectangle of another image over each image, and its label by the rectangle's share of the area.

    x = x_i outside the rectangle, x_j inside;   y = λ y_i + (1 − λ) y_j,   λ = 1 − area of the rectangle / S²

The rectangle has the image's proportions and a uniform centre; its area is that of λ ~ Beta(α, α) before it is clipped
to the image. One rectangle a batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfuse.train.augment import mixed_targets, partners
from transfuse.train.batches import Batch

CITATION = "Yun et al., CutMix, ICCV 2019"
PARAMETERS = {
    "alpha": {"type": "float", "default": 1.0, "low": 0.01, "high": 100.0, "doc": "of Beta(alpha, alpha); 1: uniform"},
}
TRAITS = {"on": "canvas", "kinds": "multiclass, multilabel, regression"}


def augment(batch: Batch, rng: np.random.Generator, classes: int, *, alpha: float) -> Batch:
    """The batch with one rectangle of every canvas [N, 3, S, S] replaced by another row's."""
    (canvas,) = batch.inputs
    share, other, side = float(rng.beta(alpha, alpha)), partners(batch, rng), canvas.shape[-1]
    half = side * float(np.sqrt(1 - share)) / 2
    centre = rng.integers(0, side, size=2)
    (top, left), (bottom, right) = (
        np.clip(np.rint(centre - half), 0, side).astype(int),
        np.clip(np.rint(centre + half), 0, side).astype(int),
    )
    pasted = canvas.clone()
    pasted[..., top:bottom, left:right] = canvas[other.to(canvas.device)][..., top:bottom, left:right]
    kept = 1 - float((bottom - top) * (right - left)) / side**2
    return replace(batch, inputs=[pasted], targets=mixed_targets(batch, other, kept, classes))
