"""Sets some values to black or white, as broken pixels and bit errors do.

A share p of all values, half of it to 0 and half to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from transfuse.conditions import Forward, RngOf, each

CITATION = "Hendrycks, Dietterich, Benchmarking neural network robustness to common corruptions, ICLR 2019"
TRAITS = {"kind": "corruption"}
PARAMETERS = {"level": {"type": "int", "default": 3, "low": 1, "high": 5, "doc": "severity"}}
SHARES = (0.03, 0.06, 0.09, 0.17, 0.27)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: int,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The share of lost values by level; what is lost at one level is lost at all higher ones."""
    half = SHARES[level - 1] / 2

    def broken(image: np.ndarray, item: str) -> np.ndarray:
        draw = rng_of(item).random(image.shape)
        return np.where(draw < half, 0.0, np.where(draw > 1 - half, 1.0, image))

    return each(x, ids, broken)
