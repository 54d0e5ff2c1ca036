"""Random squares at the edge of an L∞ ball, kept where they help: an attack that asks for answers only, no gradient.

It starts from vertical stripes of ±ε; each of 300 queries repaints one square by ±ε a channel and is kept for an item
if its margin max_{c ≠ y} z_c − z_y rises. The square's share of the image starts at 0.3 and halves as queries pass.
Where it is stronger than gradient attacks, gradients are masked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from transfuse.conditions import Forward, RngOf
from transfuse.conditions._attack import answers, margin, needed

CITATION = "Andriushchenko et al., Square attack, ECCV 2020"
TRAITS = {"kind": "attack", "against": True, "gradient": False, "norm": "linf", "passes": 100}
PARAMETERS = {"level": {"type": "float", "default": 0.0314, "low": 0.0, "high": 1.0, "doc": "ε, share of the range"}}
QUERIES, FIRST_SHARE = 300, 0.3
# The share of all queries after which the square's share of the image is halved once more.
HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: float,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The point with the highest margin among those asked; an item that is answered wrongly is left in peace."""
    arm, radius = needed(forward, "square"), float(level)
    wanted = torch.from_numpy(np.asarray(targets)).to(x.device)
    draws, side = [rng_of(item) for item in ids], x.shape[-1]
    stripes = np.stack([draw.choice((-radius, radius), (3, 1, side)) for draw in draws]).astype(np.float32)
    with torch.no_grad():
        best, found = x.clone(), margin(answers(arm, x), wanted)
        offered = (x + torch.from_numpy(stripes).to(x)).clamp(0.0, 1.0)
        for query in range(QUERIES):
            score = margin(answers(arm, offered), wanted)
            better = (score > found) & (found <= 0)
            best = torch.where(better.reshape(-1, 1, 1, 1), offered, best)
            found = torch.where(better, score, found)
            if bool((found > 0).all()):
                break
            offered = _repainted(best, x, draws, radius, max(1, round((share(query) ** 0.5) * side)))
    return best


def share(query: int) -> float:
    """The square's share of the image at this query."""
    return FIRST_SHARE / 2 ** sum(query >= part * QUERIES for part in HALVINGS)


def _repainted(best: Tensor, x: Tensor, draws: Sequence[np.random.Generator], radius: float, width: int) -> Tensor:
    """Every item's best point with one square of its own at ±ε a channel."""
    offered, side = best.clone(), x.shape[-1]
    for place, draw in enumerate(draws):
        top, left = draw.integers(0, side - width + 1, size=2)
        sign = torch.from_numpy(draw.choice((-radius, radius), (3, 1, 1)).astype(np.float32)).to(x)
        window = (place, slice(None), slice(int(top), int(top) + width), slice(int(left), int(left) + width))
        offered[window] = (x[window] + sign).clamp(0.0, 1.0)
    return offered
