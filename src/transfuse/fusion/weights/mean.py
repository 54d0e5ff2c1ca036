"""The weighted mean of the members' tensors.

    merged = sum_k w_k x_k / sum_k w_k        x [K, *S], w [K] -> [*S]

Weights whose sum is zero are refused by the lift. One member, or K equal members, gives that member back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Wortsman et al., Model soups, ICML 2022"
PARAMETERS: dict[str, dict[str, Any]] = {}
TRAITS = {
    "idempotent": True,
    "symmetric": True,
    "one_hot": True,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "elementwise": True,
    "stochastic": False,
    "needs_base": False,
}


def coefficients(unit: Unit) -> np.ndarray:
    """`[K]`."""
    return unit.w / unit.w.sum()


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    share = unit.w / unit.w.sum()
    return weighted(share, unit.x)


def reference(unit: Unit) -> Any:
    """The law, entry by entry."""
    total = unit.x[0] * 0.0
    for index in range(len(unit.w)):
        total = total + unit.w[index] * unit.x[index]
    return total / float(sum(unit.w))
