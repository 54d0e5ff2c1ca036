"""Adds normal noise to every channel of every pixel: what a sensor does in poor light.

x + σ ε, ε ~ N(0, 1), clipped to [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
SIGMAS = (0.08, 0.12, 0.18, 0.26, 0.38)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """Noise of standard deviation σ by level, in units of the canvas."""
    sigma = SIGMAS[level - 1]

    def noisy(image: np.ndarray, item: str) -> np.ndarray:
        return image + sigma * rng_of(item).standard_normal(image.shape, dtype=np.float32)

    return each(x, ids, noisy)
