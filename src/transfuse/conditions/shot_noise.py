"""Counts photons instead of light: bright places vary most, black stays black.

Poisson(λ x) / λ, clipped to [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
PHOTONS = (60, 25, 12, 5, 3)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """A fully lit channel gives λ photons on average, by level."""
    photons = PHOTONS[level - 1]

    def counted(image: np.ndarray, item: str) -> np.ndarray:
        return rng_of(item).poisson(image * photons) / photons

    return each(x, ids, counted)
