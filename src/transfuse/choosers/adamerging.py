"""Coefficients learn by gradient to make the merge's answers on unlabelled images certain.

    minimise over w  E_x H(p(. | x; merge(w))),   H(p) = -sum_c p_c log p_c        w [K], or [L, K] with `layers`

A chooser that learns (trait `learns`): instead of a score it is given the merge itself as a module whose only trainable
values are its `coefficients`. No label is read. `budget` bounds the passes over the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transfuse.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

CITATION = "Yang et al., AdaMerging: adaptive model merging for multi-task learning, ICLR 2024"
PARAMETERS = {
    "layers": {"type": "bool", "default": False, "doc": "whether every layer has coefficients of its own"},
    "rate": {"type": "float", "default": 1e-2, "low": 1e-6, "high": 1.0, "doc": "step size of Adam"},
}
TRAITS = {"learns": True}


def learn(blend: nn.Module, batches: Sequence[Tensor], budget: int, rate: float = 1e-2) -> list[float]:
    """Train `blend.coefficients` on batches of inputs; returns the mean entropy by pass, in nats.

    Raises UserError where the coefficients stop being numbers.
    """
    import torch

    coefficients = blend.coefficients
    optimiser = torch.optim.Adam([coefficients], rate)  # pyright: ignore[reportArgumentType]
    found = []
    for _ in range(budget):
        total = 0.0
        for batch in batches:
            loss = entropy(blend(batch))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
        found.append(total / max(len(batches), 1))
        if not torch.isfinite(coefficients).all():  # pyright: ignore[reportArgumentType]
            raise UserError("the coefficients stopped being numbers", got=f"after {len(found)} passes at rate {rate:g}")
    return found


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the predicted classes, in nats."""
    import torch

    logs = torch.log_softmax(logits.float(), dim=1)
    return -(logs.exp() * logs).sum(dim=1).mean()
