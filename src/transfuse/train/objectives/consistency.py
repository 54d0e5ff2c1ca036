"""Consistency: what the network is sure of in an unlabelled item it must also answer when the item is changed strongly.

    loss = task loss + pull · mean over the pool's rows of 1[max q ≥ sure] · (−log softmax(f(s(x)))_{argmax q})
    q = softmax f(w(x)),   w a weak change and s a strong one, made on top of the weak one

Of a canvas w is a shift by up to an eighth of its side (the edge is repeated), and s a further shift, a change of
brightness and contrast, and a square of half the side greyed out, all times `strength`. Of frozen features w is none,
and s leaves out columns with probability 0.3 · strength (the rest is scaled up) and adds normal noise of 0.3 · strength
times a block's spread. Nothing turns or mirrors an item: digits would become others. The slope goes through f(s(x))
alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from transfuse.train import objectives
from transfuse.train.batches import POOL, TRAIN
from transfuse.train.learner import Learner

CITATION = (
    "Sohn et al., FixMatch: simplifying semi-supervised learning with consistency and confidence, NeurIPS 2020; Xie et"
    " al., Unsupervised data augmentation for consistency training, NeurIPS 2020"
)
PARAMETERS = {
    "sure": {"type": "float", "default": 0.95, "low": 0.0, "high": 1.0, "doc": "least probability that is believed"},
    "pull": {"type": "float", "default": 1.0, "low": 0.0, "high": 100.0, "doc": "weight of the believed rows"},
    "strength": {"type": "float", "default": 1.0, "low": 0.0, "high": 2.0, "doc": "of the strong change"},
}
TRAITS = {"fields": "image", "complete": True, "kinds": "multiclass"}
NEEDS = ("pool",)
SHIFT, SQUARE, LIGHT, COLUMNS, NOISE = 0.125, 0.5, 0.4, 0.3, 0.3


class Objective(objectives.Objective):
    """`{"labels": task loss, "consistency": loss of the believed rows}`; 0 where none is believed."""

    def __init__(self, about: objectives.About, *, sure: float, pull: float, strength: float) -> None:
        super().__init__(about)
        self.sure, self.pull, self.strength = sure, pull, strength

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"consistency": self.pull}

    def further(self, rows: int) -> int:
        return rows

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch, pool = batches[TRAIN], batches[POOL]
        weak = [shifted(each, SHIFT) for each in pool.inputs] if learner.on_canvas else pool.inputs
        with torch.no_grad():
            surest, label = learner(weak).float().softmax(dim=1).max(dim=1)
        changed = canvas_changed if learner.on_canvas else features_changed
        strong = [changed(each, self.strength) for each in weak]
        losses = functional.cross_entropy(learner(strong).float(), label, reduction="none")
        believed = (surest >= self.sure).to(losses.dtype)
        return {"labels": self.about.loss(learner(batch.inputs), batch), "consistency": (believed * losses).mean()}


def shifted(canvas: Tensor, share: float) -> Tensor:
    """Each image moved by up to `share` of its side both ways, its edge repeated. [N, 3, S, S]"""
    side = canvas.shape[-1]
    most = round(share * side)
    moves = torch.randint(-most, most + 1, (len(canvas), 2), device=canvas.device)
    at = torch.arange(side, device=canvas.device)
    down, across = ((at + moves[:, axis : axis + 1]).clamp(0, side - 1) for axis in (0, 1))
    rows = torch.arange(len(canvas), device=canvas.device).reshape(-1, 1, 1)
    # Indexed by images, rows and columns, colours come last.
    return canvas[rows, :, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2)


def canvas_changed(canvas: Tensor, strength: float) -> Tensor:
    """Each image shifted, made lighter or darker, of more or less contrast, and without one square. [N, 3, S, S]"""
    moved = shifted(canvas, SHIFT * strength)
    count, side = len(moved), moved.shape[-1]
    light, contrast = (LIGHT * strength * (2 * torch.rand(2, count, 1, 1, 1, device=moved.device) - 1)).unbind()
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    found = ((moved - mean) * (1 + contrast) + mean + light).clamp(0.0, 1.0)
    half = min(SQUARE * strength, 1.0) * side / 2
    centres = torch.rand(2, count, 1, device=moved.device) * side
    at = torch.arange(side, device=moved.device) + 0.5
    down, across = (at - centres).abs() < half
    return torch.where((down[:, :, None] & across[:, None, :])[:, None], 0.5, found)


def features_changed(block: Tensor, strength: float) -> Tensor:
    """Each item's features with columns left out at random and noise added. [N, ...]"""
    spread = block.float().var(dim=0, unbiased=False).mean().sqrt().to(block.dtype)
    noisy = block + NOISE * strength * spread * torch.randn_like(block)
    return functional.dropout(noisy, COLUMNS * strength)
