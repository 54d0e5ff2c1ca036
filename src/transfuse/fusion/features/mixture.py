"""A mixture gives each source a small network of its own, and a router decides per item whose answer counts.

    h_k = relu(W_k block_k + b_k) V_k                    [N, width]
    z   = softmax_k( R [block_1 .. block_K] ), kept for the `top` largest and rescaled      [N, K]   (the shares)
    fused = sum_k z_k h_k                                [N, width]

`top: 0` is dense: every source counts everywhere. With `top` above the number of sources it is dense too. Ties go to
the source that stands first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "Jacobs et al., Adaptive mixtures of local experts, 1991; Shazeer et al., Sparsely-gated MoE, ICLR 2017"
PARAMETERS = {
    "width": {"type": "int", "default": 128, "low": 1, "high": 65536, "doc": "width of the common space"},
    "top": {"type": "int", "default": 0, "low": 0, "high": 1024, "doc": "sources that count for one item; 0: all"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": False}


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`; `shares(blocks) -> [N, K]`."""

    def __init__(self, widths: Sequence[int], *, width: int, top: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.top = min(top, len(widths)) or len(widths)
        self.members = nn.ModuleList([
            nn.Sequential(nn.Linear(block_width, width), nn.ReLU(), nn.Linear(width, width)) for block_width in widths
        ])  # fmt: skip
        self.router = nn.Linear(sum(widths), len(widths))
        nn.init.zeros_(self.router.weight)
        nn.init.zeros_(self.router.bias)
        self.dropout = nn.Dropout(dropout)

    def shares(self, blocks: Sequence[Tensor]) -> Tensor:
        scores = self.router(torch.cat(list(blocks), dim=1))
        if self.top < scores.shape[1]:
            order = torch.argsort(scores, dim=1, descending=True, stable=True)
            scores = scores.scatter(1, order[:, self.top :], -torch.inf)
        return torch.softmax(scores, dim=1)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        hidden = torch.stack([member(block) for member, block in zip(self.members, blocks, strict=True)], dim=1)
        return self.dropout((hidden * self.shares(blocks)[:, :, None]).sum(dim=1))
