"""The fine-tuned weights are drawn back towards their base by one share: robustness of the one, accuracy of the other.

    merged = (1 - alpha) base + alpha sum_k w_k x_k / sum_k w_k        x [K, *S], base [*S] -> [*S]

alpha 0 is the base, 1 the (mean of the) fine-tuned. The whole path is a chooser: `weights: path`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.fusion.arrays import weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Wortsman et al., Robust fine-tuning of zero-shot models (WiSE-FT), CVPR 2022"
PARAMETERS = {
    "alpha": {"type": "float", "default": 0.5, "low": 0.0, "high": 1.0, "doc": "how far from the base"},
}
TRAITS = {
    "idempotent": False,
    "symmetric": True,
    "one_hot": False,
    "shift": True,
    "scale": True,
    "per_tensor": True,
    "elementwise": True,
    "stochastic": False,
    "needs_base": True,
}


def coefficients(unit: Unit) -> np.ndarray:
    """`[K + 1]`."""
    alpha = unit.settings["alpha"]
    return np.append(alpha * unit.w / unit.w.sum(), 1.0 - alpha)  # the base


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`."""
    alpha = unit.settings["alpha"]
    return (1.0 - alpha) * unit.base + weighted(alpha * unit.w / unit.w.sum(), unit.x)


def reference(unit: Unit) -> Any:
    """The law, source by source."""
    merged = unit.base * (1.0 - unit.settings["alpha"])
    for index in range(len(unit.w)):
        merged = merged + unit.settings["alpha"] * unit.w[index] / unit.w.sum() * unit.x[index]
    return merged
