"""One signed gradient step to the edge of the ball: the cheapest attack, the first that masked gradients defeat.

x' = clip(x + ε · sign(∇ loss(f(x), y))), in L∞; the loss is the cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from transfuse.conditions import Forward, RngOf
from transfuse.conditions._attack import Ball, cross_entropy, gradient, needed

CITATION = "Goodfellow, Shlens, Szegedy, Explaining and harnessing adversarial examples, ICLR 2015"
TRAITS = {"kind": "attack", "against": True, "gradient": True, "norm": "linf", "passes": 1}
PARAMETERS = {"level": {"type": "float", "default": 0.0314, "low": 0.0, "high": 1.0, "doc": "ε, share of the range"}}


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: float,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """One step of length ε."""
    wanted = torch.from_numpy(np.asarray(targets)).to(x.device)
    ball = Ball("linf", float(level))
    found, _, _ = gradient(needed(forward, "fgsm"), x, wanted, cross_entropy)
    return ball.project(x + ball.radius * ball.direction(found), x)
