"""Projected gradient ascent in an L2 ball: one strong local change costs as much as many faint ones.

x ← project(x + α · ∇ / ‖∇‖₂), 20 steps of α = 2.5 ε / 20 from each of 3 starts; ε is a length over the whole canvas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from transfuse.conditions import Forward, RngOf
from transfuse.conditions._attack import Ball, needed
from transfuse.conditions.pgd import climbed

CITATION = "Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018"
TRAITS = {"kind": "attack", "against": True, "gradient": True, "norm": "l2", "passes": 66}
PARAMETERS = {"level": {"type": "float", "default": 0.5, "low": 0.0, "high": 1e4, "doc": "ε, an L2 length"}}


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: float,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The worst of all points on the way."""
    return climbed(Ball("l2", float(level)), x, targets, ids, rng_of, needed(forward, "pgd_l2"))
