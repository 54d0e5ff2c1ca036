"""Adds the same light everywhere: an exposure that was too long.

x + b, clipped to [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
ADDED = (0.1, 0.2, 0.3, 0.4, 0.5)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The added light by level, in units of the canvas."""
    added = np.float32(ADDED[level - 1])
    return each(x, ids, lambda image, item: image + added)
