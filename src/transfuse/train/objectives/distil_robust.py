"""Robust distillation: on inputs changed to mislead it, the student answers as its teacher does on the unchanged ones.

    loss = hard · task loss(f(x), y)  +  (1 − hard) · τ² mean KL(teachers(x) at τ ‖ f(x') at τ)
    x' = near x, by `steps` of sign ascent on the student's task loss, from a random start

Of several teachers the mean of their softened answers is heard. Near is meant as in adversarial training.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from transfuse.errors import UserError
from transfuse.train import objectives
from transfuse.train.batches import TRAIN
from transfuse.train.learner import Learner
from transfuse.train.objectives import _teaching
from transfuse.train.objectives._adversary import Near

CITATION = "Goldblum et al., Adversarially robust distillation, AAAI 2020"
PARAMETERS = {
    "radius": {"type": "float", "default": 0.0314, "low": 0.0, "high": 10.0, "doc": "of a canvas: share of its range"},
    "steps": {"type": "int", "default": 7, "low": 1, "high": 200, "doc": "of the search; 1 is the fast one"},
    "temperature": {"type": "float", "default": 4.0, "low": 0.1, "high": 100.0, "doc": "softens both sides"},
    "hard": {"type": "float", "default": 0.1, "low": 0.0, "high": 1.0, "doc": "weight of the labels; the rest teaches"},
}
TRAITS = {"fields": "image", "complete": True, "kinds": "multiclass", "labelled": True, "resists": True}
NEEDS = ("teacher",)


class Objective(objectives.Objective):
    """`{"labels": task loss, "teacher": softened divergence on changed inputs}`."""

    def __init__(self, about: objectives.About, *, radius: float, steps: int, temperature: float, hard: float) -> None:
        super().__init__(about)
        self.near, self.temperature, self.hard = Near(radius, steps), temperature, hard

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"labels": self.hard, "teacher": 1.0 - self.hard}

    def further(self, rows: int) -> int:
        return rows * (self.near.steps + 1)

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        if not batch.beside.get("teacher"):
            raise UserError("distil_robust needs a teacher's scores of its rows", hint="train: {teacher: ARM}")
        scores = learner(batch.inputs).float()
        starts = self.near.anywhere(learner, batch.inputs)
        changed = self.near.worst(learner, batch.inputs, starts, lambda other: self.about.loss(other, batch))
        soft = (_teaching.given(scores, batch) / self.temperature).softmax(dim=2).mean(dim=0)
        student = (learner(changed).float() / self.temperature).log_softmax(dim=1)
        apart = self.temperature**2 * functional.kl_div(student, soft, reduction="batchmean")
        return {"labels": self.about.loss(scores, batch), "teacher": apart}
