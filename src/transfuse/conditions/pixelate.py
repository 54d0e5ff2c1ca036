"""Averages squares of pixels and shows them as they are: an image enlarged from few pixels.

Area average down to a share of the side, at least one pixel; nearest pixel back up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
SHARES = (0.5, 0.4, 0.3, 0.2, 0.15)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The share of the side that is left, by level."""
    side = x.shape[-1]
    fewer = max(1, round(SHARES[level - 1] * side))

    def coarse(image: np.ndarray, item: str) -> np.ndarray:
        small = functional.interpolate(torch.from_numpy(image)[None], size=fewer, mode="area")
        return functional.interpolate(small, size=side, mode="nearest-exact")[0].numpy()

    return each(x, ids, coarse)
