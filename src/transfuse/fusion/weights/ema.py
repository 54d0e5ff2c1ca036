"""Checkpoints of one training are averaged, later ones counting more: an exponential average, or SWA.

    merged = sum_k w_k d^(K-1-k) x_k / sum_k w_k d^(K-1-k)        x [K, *S] in the order of training -> [*S]

With `decay: 1` this is stochastic weight averaging (SWA). `skip` leaves the first checkpoints of the training out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from transfuse.errors import UserError
from transfuse.fusion.arrays import alike, weighted

if TYPE_CHECKING:
    from transfuse.fusion.contract import Unit

CITATION = "Polyak and Juditsky, SIAM J. Control Optim. 1992; Izmailov et al., Averaging weights (SWA), UAI 2018"
PARAMETERS = {
    "decay": {"type": "float", "default": 0.9, "low": 1e-6, "high": 1.0, "doc": "what a step back in time counts"},
    "skip": {"type": "int", "default": 0, "low": 0, "high": 10_000, "doc": "first checkpoints that are left out"},
}
TRAITS = {
    "idempotent": True,
    "symmetric": False,
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
    shares = unit.w * _ages(len(unit.w), unit.settings)
    return shares / shares.sum()


def merge(unit: Unit) -> Any:
    """`[K, *S] -> [*S]`. Raises UserError where nothing is left to average."""
    shares = unit.w * alike(_ages(len(unit.w), unit.settings), unit.w)
    return weighted(shares / shares.sum(), unit.x)


def reference(unit: Unit) -> Any:
    """The law, checkpoint by checkpoint."""
    total, weight = unit.x[0] * 0.0, 0.0
    for place in range(unit.settings["skip"], len(unit.w)):
        share = float(unit.w[place]) * unit.settings["decay"] ** (len(unit.w) - 1 - place)
        total, weight = total + share * unit.x[place], weight + share
    return total / weight


def _ages(count: int, settings: Any) -> np.ndarray:
    if settings["skip"] >= count:
        raise UserError("no checkpoint is left to average", expected=f"skip below {count}", got=str(settings["skip"]))
    ages = settings["decay"] ** np.arange(count - 1.0, -1.0, -1.0)
    ages[: settings["skip"]] = 0.0
    return ages
