"""What adversarial objectives share: a search for inputs near a batch's own that the network answers worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transfuse.train.learner import Learner

# Steps that add up to this multiple of the radius reach every corner of the ball from a start inside it.
REACH, REACH_OF_ONE = 2.5, 1.25


@dataclass(frozen=True)
class Near:
    """Inputs within `radius` of the given ones in every number: of a canvas, which stays one; of features in units of
    their block's spread in the batch, the root of the mean variance of its columns. K blocks of [N, ...]."""

    radius: float
    steps: int

    def worst(
        self, learner: Learner, inputs: list[Tensor], starts: list[Tensor], loss: Callable[[Tensor], Tensor]
    ) -> list[Tensor]:
        """Inputs after `steps` of sign ascent on `loss(scores)` from the starts.

        Nothing that the network keeps count of moves, and no weight gets a gradient. A slope that is no number gives
        inputs that are none, which ends the fit.
        """
        radii = [self.radius * _spread(each, learner.on_canvas) for each in inputs]
        share = REACH / self.steps if self.steps > 1 else REACH_OF_ONE
        points = self._projected(inputs, starts, radii, learner.on_canvas)
        with _still(learner.module), torch.enable_grad():
            for _ in range(self.steps):
                points = [each.detach().requires_grad_(True) for each in points]
                slopes = torch.autograd.grad(loss(learner(points).float()), points)
                moved = [
                    # The sign of what is no number is 0; such a slope must not pass for a flat one.
                    point.detach() + share * radius * (slope.sign() + 0.0 * slope)
                    for point, slope, radius in zip(points, slopes, radii, strict=True)
                ]
                points = self._projected(inputs, moved, radii, learner.on_canvas)
        return points

    def anywhere(self, learner: Learner, inputs: list[Tensor]) -> list[Tensor]:
        """A uniform draw from the ball."""
        spreads = [self.radius * _spread(each, learner.on_canvas) for each in inputs]
        return [each + spread * (2 * torch.rand_like(each) - 1) for each, spread in zip(inputs, spreads, strict=True)]

    @staticmethod
    def _projected(inputs: list[Tensor], points: list[Tensor], radii: list[Tensor], canvas: bool) -> list[Tensor]:
        found = [
            torch.clamp(point, each - radius, each + radius)
            for each, point, radius in zip(inputs, points, radii, strict=True)
        ]
        return [each.clamp(0.0, 1.0) for each in found] if canvas else found


def _spread(values: Tensor, canvas: bool) -> Tensor:
    if canvas:
        return values.new_ones(())
    return values.float().var(dim=0, unbiased=False).mean().sqrt().to(values.dtype)


@contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; each part returns to the mode it was in."""
    before = [(part, part.training) for part in module.modules()]
    for part, _ in before:
        part.training = False
    try:
        yield
    finally:
        for part, mode in before:
            part.training = mode
