"""DANN learns features from which nobody can tell labelled rows from unlabelled ones from elsewhere.

    loss = task loss(h(f(x)), y)  +  log-loss of d(f(·)) on "labelled or pool"
    the slope of the second part reaches f times −λ,   λ = pull · (2 / (1 + exp(−10 p)) − 1),   p share of steps done

d is a small network on the fused features that is trained along and never part of the model: it learns to tell, while
f learns against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.train import objectives
from transfuse.train.learner import Learner
from transfuse.train.objectives._domains import both

CITATION = "Ganin et al., Domain-adversarial training of neural networks, JMLR 2016"
PARAMETERS = {
    "pull": {
        "type": "float",
        "default": 1.0,
        "low": 0.0,
        "high": 100.0,
        "doc": "the reversed slope's weight at the end",
    },
    "width": {"type": "int", "default": 64, "low": 1, "high": 4096, "doc": "of the discriminator's hidden layer"},
}
TRAITS = {"complete": True, "kinds": "multiclass, multilabel, regression"}
NEEDS = ("pool",)


class Reversed(torch.autograd.Function):
    """Its input forward; backward the slope times −share."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, share: float) -> Tensor:
        ctx.share = share
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        return -ctx.share * slopes[0], None


class Objective(objectives.Objective):
    """`{"labels": task loss, "domains": the discriminator's log-loss}`; log 2 where it can tell nothing."""

    def __init__(self, about: objectives.About, *, pull: float, width: int) -> None:
        super().__init__(about)
        self.pull, self.share = pull, 0.0
        self.tell = nn.Sequential(nn.Linear(about.learner.width, width), nn.ReLU(), nn.Linear(width, 1))

    def weights(self, progress: float) -> Mapping[str, float]:
        # Asked after each step's losses, so it holds for the next one.
        self.share = self.pull * (2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0)
        return {}

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        loss, labelled, others = both(self.about, learner, batches)
        rows = torch.cat([labelled, others])
        of_pool = torch.cat([labelled.new_zeros(len(labelled)), others.new_ones(len(others))])
        told = self.tell(Reversed.apply(rows, self.share))[:, 0]  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]
        return {"labels": loss, "domains": functional.binary_cross_entropy_with_logits(told, of_pool)}
