"""TRADES asks for right answers, and for the same answers nearby: robustness is bought with accuracy at a stated price.

    loss = task loss(f(x), y)  +  price · mean KL(softmax f(x) ‖ softmax f(x'))
    x' = near x, by `steps` of sign ascent on the same divergence, begun beside x

Near is `radius` in every number: of a canvas, which x' stays; of frozen features in units of their spread.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from transfuse.train import objectives
from transfuse.train.batches import TRAIN
from transfuse.train.learner import Learner
from transfuse.train.objectives._adversary import Near

CITATION = "Zhang et al., Theoretically principled trade-off between robustness and accuracy, ICML 2019"
PARAMETERS = {
    "radius": {"type": "float", "default": 0.0314, "low": 0.0, "high": 10.0, "doc": "of a canvas: share of its range"},
    "steps": {"type": "int", "default": 7, "low": 1, "high": 200, "doc": "of the search"},
    "price": {"type": "float", "default": 6.0, "low": 0.0, "high": 1000.0, "doc": "weight of the divergence"},
}
TRAITS = {"fields": "image", "complete": True, "kinds": "multiclass", "resists": True}
# At x itself the divergence is 0 and has no slope.
ASIDE = 0.001


class Objective(objectives.Objective):
    """`{"labels": task loss, "trades": divergence}`."""

    def __init__(self, about: objectives.About, *, radius: float, steps: int, price: float) -> None:
        super().__init__(about)
        self.near, self.price = Near(radius, steps), price

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"trades": self.price}

    def further(self, rows: int) -> int:
        return rows * (self.near.steps + 1)

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        scores = learner(batch.inputs).float()
        starts = [each + ASIDE * torch.randn_like(each) for each in batch.inputs]
        fixed = scores.detach()
        changed = self.near.worst(learner, batch.inputs, starts, lambda other: divergence(fixed, other))
        return {"labels": self.about.loss(scores, batch), "trades": divergence(scores, learner(changed).float())}


def divergence(scores: Tensor, other: Tensor) -> Tensor:
    """Mean over rows of KL(softmax(scores) ‖ softmax(other)), in nats."""
    return functional.kl_div(other.log_softmax(dim=1), scores.softmax(dim=1), reduction="batchmean")
