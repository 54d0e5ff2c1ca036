"""Turns the image about its centre, to a side drawn for each item: a camera held askew.

Bilinear; the edge is repeated outward.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import rotate
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
DEGREES = (5.0, 10.0, 15.0, 22.0, 30.0)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The angle in degrees by level; an item turns to the same side at every level."""
    degrees = DEGREES[level - 1]

    def turned(image: np.ndarray, item: str) -> np.ndarray:
        side = 1.0 if rng_of(item).random() < 0.5 else -1.0
        return rotate(image, side * degrees, axes=(1, 2), reshape=False, order=1, mode="nearest")

    return each(x, ids, turned)
