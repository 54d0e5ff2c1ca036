"""What each source learned since the base is added up.

    tau_k  = x_k - base
    merged = base + scale sum_k w_k tau_k        x [K, *S], w [K], base [*S] -> [*S]

A negative weight takes away what a source learned. Weights are not normalised: K equal sources count K times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Ilharco et al., Editing models with task arithmetic, ICLR 2023"
PARAMETERS = {
    "scale": {"type": "float", "default": 1.0, "low": -100.0, "high": 100.0, "doc": "factor of all that is added"},
}
TRAITS = {
    "idempotent": False,
    "symmetric": True,
    "one_hot": True,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "elementwise": True,
    "stochastic": False,
    "needs_base": True,
    "weights": "scales",
}


def coefficients(unit: Unit) -> np.ndarray:
    """`[K + 1]`."""
    w = unit.settings["scale"] * unit.w
    return np.append(w, 1.0 - w.sum())  # the base


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    # The same sum with the base taken out of it, so that the members are gone through once.
    w = unit.settings["scale"] * unit.w
    return weighted(w, unit.x) + (1.0 - w.sum()) * unit.base


def reference(unit: Unit) -> Any:
    """The law, source by source."""
    merged = unit.base * 1.0
    for index in range(len(unit.w)):
        merged = merged + unit.settings["scale"] * unit.w[index] * (unit.x[index] - unit.base)
    return merged
