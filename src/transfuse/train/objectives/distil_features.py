"""Feature distillation: from its fused block the student predicts every teacher's features, each in its own units.

    loss = share · mean_k mean_d ( (W_k fused + b_k)_d − (t_kd − μ_kd) / σ_kd )²      mean over rows

μ, σ [D_k] are the mean and spread of the teacher's features over the training rows, so that no teacher counts more
since its features are large or many; a feature that never changes counts nothing. W_k exists in training only. It
comes on top of another objective.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.train import objectives
from transfuse.train.batches import TRAIN
from transfuse.train.learner import Learner

CITATION = (
    "Romero et al., FitNets, ICLR 2015; Shang et al., Theia: distilling diverse vision foundation models, CoRL 2024"
)
PARAMETERS = {
    "features": {"type": "float", "default": 1.0, "low": 0.0, "high": 100.0, "doc": "weight of the teachers' features"},
}
TRAITS = {"complete": False}
NEEDS = ("teacher_features",)
STILL = 1e-6


class Objective(objectives.Objective):
    """`{"features": mean squared error}`; statistics and projections are made from the training rows' features."""

    def __init__(self, about: objectives.About, *, features: float) -> None:
        super().__init__(about)
        given = about.beside.get("teacher_features", [])
        if not given:
            raise UserError("distil_features needs a teacher's features of its rows", hint="train: {teacher: ARM}")
        self.share, self.count = features, len(given)
        self.heads = nn.ModuleList([nn.Linear(about.learner.width, each.shape[1]) for each in given])
        for number, each in enumerate(given):
            spread, mean = torch.std_mean(each.float(), dim=0, correction=0)
            moves = spread > STILL * (1.0 + mean.abs())
            self.register_buffer(f"mean{number}", mean)
            self.register_buffer(f"unit{number}", torch.where(moves, 1.0 / spread.clamp_min(1e-30), 0.0))

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"features": self.share}

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        fused = learner.parts(batch.inputs).fused.float()
        errors = []
        for number, (head, given) in enumerate(zip(self.heads, batch.beside["teacher_features"], strict=True)):
            unit, mean = getattr(self, f"unit{number}"), getattr(self, f"mean{number}")
            wanted = (given.to(fused.device).float() - mean) * unit
            errors.append(((head(fused) - wanted) * (unit > 0)).square().mean())
        return {"features": torch.stack(errors).mean()}
