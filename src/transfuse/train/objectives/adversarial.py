"""Adversarial training learns from inputs that were changed a little so that the network answers them worst.

    loss = clean · task loss(f(x), y)  +  (1 − clean) · task loss(f(x'), y)
    x' = near x, by `steps` of  x' ← project(x' + α sign ∇ task loss)  from a random start

Near is `radius` in every number: of a canvas, which x' stays; of frozen features in units of their spread. One step is
the fast gradient sign from a random start with α = 1.25 radius, several take 2.5 radius together.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from transfuse.train import objectives
from transfuse.train.batches import TRAIN
from transfuse.train.learner import Learner
from transfuse.train.objectives._adversary import Near

CITATION = (
    "Goodfellow, Shlens, Szegedy, Explaining and harnessing adversarial examples, ICLR 2015; Madry et al., Towards deep"
    " learning models resistant to adversarial attacks, ICLR 2018; Wong, Rice, Kolter, Fast is better than free, 2020"
)
PARAMETERS = {
    "radius": {"type": "float", "default": 0.0314, "low": 0.0, "high": 10.0, "doc": "of a canvas: share of its range"},
    "steps": {"type": "int", "default": 7, "low": 1, "high": 200, "doc": "of the search; 1 is the fast one"},
    "clean": {"type": "float", "default": 0.0, "low": 0.0, "high": 1.0, "doc": "weight of the inputs as they are"},
}
TRAITS = {"fields": "image", "complete": True, "kinds": "multiclass, multilabel, regression", "resists": True}


class Objective(objectives.Objective):
    """`{"adversarial": loss}`, with `{"labels": loss}` where the inputs as they are count too."""

    def __init__(self, about: objectives.About, *, radius: float, steps: int, clean: float) -> None:
        super().__init__(about)
        self.near, self.clean = Near(radius, steps), clean

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"labels": self.clean, "adversarial": 1.0 - self.clean}

    def further(self, rows: int) -> int:
        return rows * (self.near.steps + (1 if self.clean else 0))

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        starts = self.near.anywhere(learner, batch.inputs)
        changed = self.near.worst(learner, batch.inputs, starts, lambda scores: self.about.loss(scores, batch))
        found = {"adversarial": self.about.loss(learner(changed), batch)}
        return found if self.clean == 0 else {"labels": self.about.loss(learner(batch.inputs), batch), **found}
