"""AdamW on stacked weights, a learning rate for each track; without this file every stack would state it anew.

    g ← g · min(1, c / ‖g‖)    per track, over all of its tensors
    w ← w − η λ w              where it decays
    m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
    w ← w − η m̂ / (√v̂ + ε)     m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)

The steps of `loop.fit`, with torch's AdamW. Source: Loshchilov and Hutter, Decoupled weight decay, ICLR 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transfuse.train.adamw import BETAS, EPSILON
from transfuse.train.loop import GRADIENT_NORM


class StackedAdam:
    """Moments of weights [M, ...], all that each track learns in one array; `decaying` is a view of what decays."""

    def __init__(self, weights: Tensor, decaying: Tensor, decay: float) -> None:
        self.weights, self.decaying, self.decay = weights, decaying, decay
        self.first, self.second, self.spare = (torch.zeros_like(weights) for _ in range(3))
        self.steps = 0

    @torch.no_grad()
    def learn(self, gradient: Tensor, rates: Tensor) -> None:
        """One step for every track by these gradients [M, ...] at these rates [M]."""
        clip(gradient)
        self.steps += 1
        one, two = (1 - beta**self.steps for beta in BETAS)
        self.decaying.mul_(_wide(1 - rates * self.decay, self.decaying))
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        torch.sqrt(self.second, out=self.spare).add_(EPSILON * two**0.5)
        torch.div(self.first, self.spare, out=self.spare)
        self.weights.addcmul_(self.spare, _wide(rates * (-(two**0.5) / one), self.weights))


def clip(gradient: Tensor) -> None:
    """Shorten each track's gradient [M, ...] in place where its norm passes c."""
    norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    if not bool((norm <= GRADIENT_NORM).all()):
        gradient.mul_(_wide((GRADIENT_NORM / (norm + 1e-6)).clamp(max=1.0), gradient))


def _wide(numbers: Tensor, like: Tensor) -> Tensor:
    """A number for each track [M] as it multiplies [M, ...]."""
    return numbers.view(-1, *[1] * (like.dim() - 1))
