"""Draws every channel towards its mean over the image: haze, or a flat exposure.

mean + c (x − mean).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
KEPT = (0.4, 0.3, 0.2, 0.1, 0.05)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The share of contrast that is kept, by level."""
    kept = KEPT[level - 1]

    def flat(image: np.ndarray, item: str) -> np.ndarray:
        mean = image.mean(axis=(1, 2), keepdims=True)
        return mean + kept * (image - mean)

    return each(x, ids, flat)
