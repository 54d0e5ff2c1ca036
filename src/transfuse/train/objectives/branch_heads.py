"""Auxiliary heads let every branch answer alone too, so that none can hide behind the others.

    loss_b = task loss of  A_b [blocks of branch b] + a_b      for every branch b,  each times `share`

The heads exist in training only. Blocks are taken as the joints give them, before any of them is dropped; maps are
averaged over space. It comes on top of another objective.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from transfuse.train import objectives
from transfuse.train.batches import TRAIN
from transfuse.train.learner import Learner

CITATION = "Szegedy et al., Going deeper with convolutions, CVPR 2015; Lee et al., Deeply-supervised nets, 2015"
PARAMETERS = {
    "share": {"type": "float", "default": 0.3, "low": 0.0, "high": 10.0, "doc": "weight of each branch's own loss"},
}
TRAITS = {"complete": False}


class Heads(nn.Module):
    """One linear head a branch. `forward(blocks) -> logits of each branch`."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.branches = list(learner.branches)
        totals = [0] * (max(self.branches) + 1)
        for branch, width in zip(self.branches, learner.widths, strict=True):
            totals[branch] += width
        self.heads = nn.ModuleList([nn.Linear(total, learner.outputs) for total in totals])

    def forward(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        flat = [block.flatten(2).mean(dim=2) if block.dim() > 2 else block for block in blocks]
        return [
            head(torch.cat([block for block, own in zip(flat, self.branches, strict=True) if own == number], dim=1))
            for number, head in enumerate(self.heads)
        ]


class Objective(objectives.Objective):
    """`{"branch0": loss, "branch1": loss, ...}` in the order of the members."""

    def __init__(self, about: objectives.About, *, share: float) -> None:
        super().__init__(about)
        self.share = share
        self.heads = Heads(about.learner)

    def weights(self, progress: float) -> Mapping[str, float]:
        return {f"branch{number}": self.share for number in range(len(self.heads.heads))}

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        answers = self.heads(learner.blocks(batch.inputs))
        return {f"branch{number}": self.about.loss(answer, batch) for number, answer in enumerate(answers)}
