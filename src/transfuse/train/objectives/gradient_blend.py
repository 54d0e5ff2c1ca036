"""Gradient blending weighs the fused answer and every branch's own by how much they generalise and how little they
overfit.

    w_i ∝ G_i / O_i²,   Σ w = 1      for the fused head and each branch's head i, anew after every `every` epochs
    G_i = fall of the loss on spared rows,   O_i = growth of (loss on spared rows − loss on trained rows)

A share of the training rows is spared: never trained on, used for these weights alone. Where nothing generalised
(G ≤ 0) a head gets no weight; where all do not, weights stay as they were. They begin equal. The heads exist in
training only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from transfuse.train import objectives
from transfuse.train.batches import TRAIN
from transfuse.train.learner import Learner
from transfuse.train.objectives.branch_heads import Heads

CITATION = "Wang, Tran, Feiszli, What makes training multi-modal classification networks hard?, CVPR 2020"
PARAMETERS = {
    "spared": {"type": "float", "default": 0.2, "low": 0.05, "high": 0.5, "doc": "share of the rows for the weights"},
    "every": {"type": "int", "default": 5, "low": 1, "high": 10000, "doc": "epochs between two estimates"},
}
TRAITS = {"complete": True}
SMALLEST_GROWTH = 1e-3


def blended(before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Weights by name from (loss on trained rows, loss on spared rows) at two times; none if nothing generalised."""
    raw = {}
    for name, (trained, spared) in after.items():
        trained_then, spared_then = before[name]
        growth = (spared - trained) - (spared_then - trained_then)
        raw[name] = max(0.0, spared_then - spared) / max(growth, SMALLEST_GROWTH) ** 2
    total = sum(raw.values())
    return {name: value / total for name, value in raw.items()} if total > 0 else {}


class Objective(objectives.Objective):
    """`{"fused": loss, "branch0": loss, ...}`."""

    def __init__(self, about: objectives.About, *, spared: float, every: int) -> None:
        super().__init__(about)
        self.share, self.every = spared, every
        self.heads = Heads(about.learner)
        names = ["fused", *(f"branch{number}" for number in range(len(self.heads.heads)))]
        self.blend = dict.fromkeys(names, 1 / len(names))
        nothing = np.zeros(0, dtype=np.int64)
        self.rows = nothing, nothing
        self.last: dict[str, tuple[float, float]] = {}

    def weights(self, progress: float) -> Mapping[str, float]:
        return self.blend

    def keep(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = min(max(1, round(self.share * len(rows))), len(rows) - 1)
        order = rng.permutation(rows)
        self.rows = np.sort(order[count:]), np.sort(order[:count])
        return rows[np.isin(rows, self.rows[0])]

    def after(self, epoch: int, losses: objectives.Measure) -> None:
        if epoch % self.every and self.last:
            return
        trained, spared = (losses(rows) for rows in self.rows)
        now = {name: (trained[name], spared[name]) for name in self.blend}
        self.blend = (blended(self.last, now) if self.last else {}) or self.blend
        self.last = now

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch: Any = batches[TRAIN]
        parts = learner.parts(batch.inputs)
        answers = {"fused": parts.logits}
        answers |= {f"branch{number}": answer for number, answer in enumerate(self.heads(parts.blocks))}
        return {name: self.about.loss(answer, batch) for name, answer in answers.items()}


__all__ = ["Objective", "blended"]
