"""Distillation: the student answers as its teachers do, softened, and as the labels say.

    q_k = softmax(log p_k / τ)      q = Σ_k w_k q_k      s = softmax(student / τ)
    loss = hard · task loss  +  (1 − hard) · τ² Σ_c q_c (log q_c − log s_c)      mean over rows

τ² keeps the gradients of both parts of one size whatever τ is. Of K teachers w_k = 1 / K (You et al. 2017, their first
part), or by confidence (Zhang et al. 2022): w_k = (1 − softmax_k(ℓ)) / (K − 1) with ℓ_k the teacher's log-loss on the
row's label, so that who is wrong about a row says less of it. One teacher has weight 1. Rows of a pool without labels
(`stream`) are heard as rows with labels are: the second term is the mean over both.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from transfuse.errors import UserError
from transfuse.train import objectives
from transfuse.train.batches import Batch
from transfuse.train.learner import Learner
from transfuse.train.objectives import _teaching

CITATION = (
    "Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, 2015; You et al., Learning from multiple"
    " teacher networks, KDD 2017; Zhang, Chen, Wang, Confidence-aware multi-teacher knowledge distillation, ICASSP 2022"
)
PARAMETERS = {
    "temperature": {"type": "float", "default": 4.0, "low": 0.1, "high": 100.0, "doc": "softens both sides"},
    "hard": {"type": "float", "default": 0.5, "low": 0.0, "high": 1.0, "doc": "weight of the labels; the rest teaches"},
    "teachers": {"type": "str", "default": "mean", "options": ["mean", "confidence"], "doc": "how several are weighed"},
}
TRAITS = {"complete": True}
NEEDS = ("teacher",)


class Objective(objectives.Objective):
    """`{"labels": task loss, "teacher": softened divergence}`; teachers stand beside the labelled batch."""

    def __init__(self, about: objectives.About, *, temperature: float, hard: float, teachers: str) -> None:
        super().__init__(about)
        self.temperature, self.hard, self.teachers = temperature, hard, teachers

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"labels": self.hard, "teacher": 1.0 - self.hard}

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        return _teaching.taught("distil", self.about, learner, batches, self._apart)

    def _apart(self, scores: Tensor, batch: Batch) -> Tensor:
        given = _teaching.given(scores, batch)
        soft = (self._shares(given, batch.targets)[..., None] * (given / self.temperature).softmax(dim=2)).sum(dim=0)
        student = (scores / self.temperature).log_softmax(dim=1)
        return self.temperature**2 * functional.kl_div(student, soft, reduction="sum")

    def _shares(self, given: Tensor, targets: Tensor | None) -> Tensor:
        """Weights [K, N] of the teachers for each row; they sum to 1 over teachers."""
        count = len(given)
        if count == 1 or self.teachers == "mean":
            return given.new_full(given.shape[:2], 1.0 / count)
        if targets is None or targets.dim() != 1:
            raise UserError("teachers are weighed by confidence on labelled rows only", hint="teachers: mean")
        index = targets.to(given.device).expand(count, -1)[..., None]
        loss = -given.log_softmax(dim=2).gather(2, index)[..., 0]
        return (1.0 - loss.softmax(dim=0)) / (count - 1)
