"""Spreads every pixel over its neighbours by a normal curve: a lens out of focus.

Gaussian filter of standard deviation σ = share · S pixels; the edge is repeated outward.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
SHARES = (0.015, 0.020, 0.025, 0.030, 0.040)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """σ grows with the canvas, so that one level takes the same details on every canvas."""
    sigma_pixels = SHARES[level - 1] * x.shape[-1]

    def blurred(image: np.ndarray, item: str) -> np.ndarray:
        return gaussian_filter(image, (0.0, sigma_pixels, sigma_pixels), mode="nearest")

    return each(x, ids, blurred)
