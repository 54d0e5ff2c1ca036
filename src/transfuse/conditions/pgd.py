"""Projected gradient ascent in an L∞ ball, from the image itself and from random starts; the worst point is kept.

x ← project(x + α · sign(∇ loss(f(x), y))), 20 steps of α = 2.5 ε / 20 from each of 3 starts; cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from transfuse.conditions import Forward, RngOf
from transfuse.conditions._attack import Ball, Worst, answers, cross_entropy, gradient, needed

CITATION = "Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018"
TRAITS = {"kind": "attack", "against": True, "gradient": True, "norm": "linf", "passes": 66}
PARAMETERS = {"level": {"type": "float", "default": 0.0314, "low": 0.0, "high": 1.0, "doc": "ε, share of the range"}}
STEPS, STARTS, REACH = 20, 3, 2.5


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: float,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The worst of all points on the way; never weaker than one full step, which is tried first."""
    return climbed(Ball("linf", float(level)), x, targets, ids, rng_of, needed(forward, "pgd"))


def climbed(ball: Ball, x: Tensor, targets: np.ndarray, ids: Sequence[str], rng_of: RngOf, forward: Forward) -> Tensor:
    """Projected ascent from every start in any ball."""
    wanted = torch.from_numpy(np.asarray(targets)).to(x.device)
    worst = Worst(x)
    for start in ball.start(x, ids, rng_of, STARTS):
        point = start
        for step in range(STEPS):
            found, _, logits = gradient(forward, point, wanted, cross_entropy)
            worst.offer(point, logits, wanted)
            along = ball.direction(found)
            if step == 0:
                far = ball.project(point + ball.radius * along, x)
                with torch.no_grad():
                    worst.offer(far, answers(forward, far), wanted)
            point = ball.project(point + REACH * ball.radius / STEPS * along, x)
        with torch.no_grad():
            worst.offer(point, answers(forward, point), wanted)
    return worst.point
