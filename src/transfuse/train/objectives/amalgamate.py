"""One student of all classes from teachers that know some each: every teacher is heard as far as it knows.

    S_k the classes that teacher k knows;  z(v) = log-probabilities of v's entries in S_k, and of all others together
    q_k = z(log p_k / τ),   s_k = z(student / τ)                                    [N, |S_k| + 1]
    loss = hard · task loss  +  (1 − hard) · τ² mean over k of Σ_e exp q_k[e] (q_k[e] − s_k[e])       mean over rows

What a teacher does not know is one event, "another class": how likely that is, it says; which class, it does not. So
the divergence is that of how likely the row is one of S_k, and, weighed by it, that among S_k. Teachers that know every
class make it `distil` of one teacher, and of several the mean of their divergences. With `hard: 0` labels are not heard
at all; rows of a pool without labels (`stream`) count as rows with labels do.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from transfuse.train import objectives
from transfuse.train.batches import Batch
from transfuse.train.learner import Learner
from transfuse.train.objectives import _teaching

CITATION = (
    "Shen et al., Amalgamating knowledge towards comprehensive classification, AAAI 2019; Vongkulbhaisal, Vinayavekhin,"
    " Visentini-Scarzanella, Unifying heterogeneous classifiers with distillation, CVPR 2019"
)
PARAMETERS = {
    "temperature": {"type": "float", "default": 2.0, "low": 0.1, "high": 100.0, "doc": "softens both sides"},
    "hard": {"type": "float", "default": 0.5, "low": 0.0, "high": 1.0, "doc": "weight of the labels; the rest teaches"},
}
TRAITS = {"complete": True, "partial": True}
NEEDS = ("teacher",)


class Objective(objectives.Objective):
    """`{"labels": task loss, "teacher": mean divergence over the teachers}`."""

    def __init__(self, about: objectives.About, *, temperature: float, hard: float) -> None:
        super().__init__(about)
        self.temperature, self.hard = temperature, hard

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"labels": self.hard, "teacher": 1.0 - self.hard}

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        return _teaching.taught("amalgamate", self.about, learner, batches, self._apart)

    def _apart(self, scores: Tensor, batch: Batch) -> Tensor:
        given = _teaching.given(scores, batch)
        known = batch.beside["known"][0].to(scores.device) if "known" in batch.beside else None
        total = scores.new_zeros(())
        for number, teacher in enumerate(given):
            own = torch.ones_like(scores[0], dtype=torch.bool) if known is None else known[number]
            wanted, found = (events(each / self.temperature, own) for each in (teacher, scores))
            total = total + (wanted.exp() * (wanted - found)).sum()
        return self.temperature**2 * total / len(given)


def events(scores: Tensor, own: Tensor) -> Tensor:
    """Log-probabilities of the own classes one by one, and of all others as one event (absent where none is left).

    `scores [N, C]`, `own [C]` -> [N, |own| + 1] or [N, C].
    """
    each = scores.log_softmax(dim=1)
    if bool(own.all()):
        return each
    return torch.cat([each[:, own], each[:, ~own].logsumexp(dim=1, keepdim=True)], dim=1)
