"""L2-SP holds the members near the weights they came with, and what is new near zero.

    loss = α/2 Σ (w − w⁰)²  over the members' trained weights  +  β/2 Σ v²  over the trained weights of what is new

Where it is used the members' weights do not decay to zero beside it. Sums run over all entries, so α and β are per
weight. It comes on top of another objective.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transfuse.train import objectives
from transfuse.train.learner import Learner

CITATION = "Li, Grandvalet, Davoine, Explicit inductive bias for transfer learning with CNNs, ICML 2018"
PARAMETERS = {
    "alpha": {"type": "float", "default": 0.01, "low": 0.0, "high": 100.0, "doc": "pull to the pretrained weights"},
    "beta": {"type": "float", "default": 0.0, "low": 0.0, "high": 100.0, "doc": "pull of new weights to zero"},
}
TRAITS = {"complete": False, "on": "canvas", "decays_members": True}


class Objective(objectives.Objective):
    """`{"l2_sp": penalty}`; the start is where the network is when the objective is made."""

    def __init__(self, about: objectives.About, *, alpha: float, beta: float) -> None:
        super().__init__(about)
        self.alpha, self.beta = alpha, beta
        self.start = {name: value.detach().clone() for name, value in _trained(about.learner.module) if _inside(name)}

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        zero = next(learner.module.parameters()).new_zeros(())
        moved, new = [zero], [zero]
        for name, value in _trained(learner.module):
            if not _inside(name):
                new.append(value.square().sum())
            elif name in self.start:
                moved.append((value - self.start[name]).square().sum())
        return {"l2_sp": 0.5 * (self.alpha * torch.stack(moved).sum() + self.beta * torch.stack(new).sum())}


def _trained(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, value) for name, value in module.named_parameters() if value.requires_grad]


def _inside(name: str) -> bool:
    return name.startswith("members.")
