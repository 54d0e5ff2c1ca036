"""What attacks share: without it each would project, count and keep the worst in its own way, and some would be weak.

An attack looks for a canvas x' near x that an arm answers wrongly: max over ‖x' − x‖ ≤ ε, x' in [0, 1], of a loss of
(f(x'), y). `forward` gives logits [n, C] of the whole arm, preparation included, so the ball lies on the canvas. Every
item is attacked alone: its steps, starts and best point depend on no other row of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from transfuse.conditions import Forward, RngOf
from transfuse.conditions._ways import Guided
from transfuse.errors import UserError

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Loss of each item [n]; rises as the true class becomes less likely."""
    return functional.cross_entropy(logits, targets, reduction="none")


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """max of the other logits − the true one [n]: above 0 exactly where the answer is wrong."""
    true = logits.gather(1, targets[:, None])[:, 0]
    others = logits.scatter(1, targets[:, None], float("-inf"))
    return others.max(dim=1).values - true


@dataclass(frozen=True)
class Ball:
    """Where an attack may go: within `radius` of x in the norm `linf` or `l2`, and on the canvas."""

    norm: str
    radius: float

    def project(self, point: Tensor, x: Tensor) -> Tensor:
        """The nearest allowed point for linf; for l2 the delta is shortened, then clipped to the canvas."""
        delta = point - x
        if self.norm == "linf":
            delta = delta.clamp(-self.radius, self.radius)
        else:
            delta = delta * (self.radius / lengths(delta).clamp_min(1e-12)).clamp_max(1.0)
        # Clipping to the canvas moves towards x, which lies on it, so the ball is not left again.
        return (x + delta).clamp(0.0, 1.0)

    def direction(self, gradient: Tensor) -> Tensor:
        """The steepest step of length one in this norm."""
        return gradient.sign() if self.norm == "linf" else gradient / lengths(gradient).clamp_min(1e-12)

    def start(self, x: Tensor, ids: Sequence[str], rng_of: RngOf, count: int) -> list[Tensor]:
        """`count` starts for every item, the first at x itself, the others drawn by the item's id."""
        draws = [rng_of(item).uniform(-1.0, 1.0, (count - 1, *x.shape[1:])).astype(np.float32) for item in ids]
        starts = [x.clone()]
        for number in range(count - 1):
            noise = torch.from_numpy(np.stack([draw[number] for draw in draws])).to(x)
            if self.norm == "l2":
                noise = noise / lengths(noise).clamp_min(1e-12)
            starts.append(self.project(x + self.radius * noise, x))
        return starts


def lengths(delta: Tensor) -> Tensor:
    """The l2 norm of each item [n, 1, 1, 1]."""
    return delta.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)


class Worst:
    """The worst point found for each item: a wrong answer beats a right one, then the higher margin."""

    def __init__(self, x: Tensor) -> None:
        self.point = x.clone()
        self.found = torch.full((len(x),), float("-inf"), device=x.device)

    def offer(self, point: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Keep the points that are worse than those known."""
        score = margin(logits.detach(), targets)
        better = score > self.found
        self.found = torch.where(better, score, self.found)
        self.point = torch.where(better.reshape(-1, 1, 1, 1), point.detach(), self.point)


def needed(forward: Forward | None, name: str) -> Forward:
    """The arm an attack is made against; without one there is nothing to attack."""
    if forward is None:
        raise UserError(f"the condition '{name}' is made against an arm, and none was given")
    return forward


def answers(forward: Forward, point: Tensor) -> Tensor:
    """Logits [n, C] float32 of an attacked arm. Raises `UserError` where they are not finite."""
    logits = forward(point).float()
    if not bool(torch.isfinite(logits.detach()).all()):
        raise UserError("the attacked arm answers with NaN or infinity")
    return logits


def gradient(forward: Forward, point: Tensor, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    """(gradient [n, 3, S, S], losses [n], logits [n, C]) at a point. Raises `UserError` where none comes back.

    Of a guided arm gradient and losses are the guide's, and the logits its own.
    """
    at = point.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        logits = answers(forward.guide if isinstance(forward, Guided) else forward, at)
        losses = loss(logits, targets)
        # Weights that would learn leave a graph even where nothing in it comes from the canvas.
        found = torch.autograd.grad(losses.sum(), at, allow_unused=True)[0] if losses.requires_grad else None
        if found is None:
            raise UserError("no gradient comes back from the attacked arm", hint="square needs none")
    if isinstance(forward, Guided):
        with torch.no_grad():
            logits = answers(forward, point)
    return found, losses.detach(), logits.detach()
