"""Pseudo-labels: what teachers, or the network itself, are sure of on unlabelled rows is learned as if it were known.

    p = mean of the teachers' probabilities (after their temperatures), else the network's own
    loss = task loss  +  pull · mean over the pool's rows of  1[max p ≥ sure] · (−log softmax(f(x))_{argmax p})

A teacher that was fitted before on labels alone makes it self-training. Without a teacher the network listens to itself
with a weight that rises from 0 over the first half of all steps, since at its start it knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from transfuse.train import objectives
from transfuse.train.batches import POOL, TRAIN, Batch
from transfuse.train.learner import Learner
from transfuse.train.objectives import _teaching

CITATION = (
    "Lee, Pseudo-label: the simple and efficient semi-supervised learning method for deep neural networks, 2013; Xie et"
    " al., Self-training with noisy student improves ImageNet classification, CVPR 2020"
)
PARAMETERS = {
    "sure": {"type": "float", "default": 0.9, "low": 0.0, "high": 1.0, "doc": "least probability that is believed"},
    "pull": {"type": "float", "default": 1.0, "low": 0.0, "high": 100.0, "doc": "weight of the believed rows"},
}
TRAITS = {"complete": True, "kinds": "multiclass", "teachable": True}
NEEDS = ("pool",)
RAMP = 0.5


class Objective(objectives.Objective):
    """`{"labels": task loss, "pseudo": loss of the believed rows}`; 0 where none is believed."""

    def __init__(self, about: objectives.About, *, sure: float, pull: float) -> None:
        super().__init__(about)
        self.sure, self.pull, self.taught = sure, pull, bool(about.beside.get("teacher"))

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"pseudo": self.pull * (1.0 if self.taught else min(1.0, progress / RAMP))}

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch, pool = batches[TRAIN], batches[POOL]
        scores = learner(pool.inputs).float()
        surest, label = self._said(scores, pool).max(dim=1)
        losses = functional.cross_entropy(scores, label, reduction="none")
        believed = (surest >= self.sure).to(losses.dtype)
        return {"labels": self.about.loss(learner(batch.inputs), batch), "pseudo": (believed * losses).mean()}

    def _said(self, scores: Tensor, pool: Batch) -> Tensor:
        """Probabilities [n, C] that nobody's slope goes through."""
        with torch.no_grad():
            if pool.beside.get("teacher"):
                return _teaching.given(scores, pool).softmax(dim=2).mean(dim=0)
            return scores.detach().softmax(dim=1)
