"""A scalar mix brings the blocks to one width and averages them by learned weights, the same for every item.

    h_k = W_k block_k                                    [N, width]
    s   = softmax(v)                                     [K]
    fused = g sum_k s_k h_k                              [N, width]

It starts as the plain mean (v = 0, g = 1): K + 1 numbers say how much each source counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "Peters et al., Deep contextualized word representations, NAACL 2018"
PARAMETERS = {
    "width": {"type": "int", "default": 128, "low": 1, "high": 65536, "doc": "width of the common space"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": False}


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`; `shares(blocks) -> [N, K]`."""

    def __init__(self, widths: Sequence[int], *, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.adapters = nn.ModuleList([nn.Linear(block_width, width) for block_width in widths])
        self.weights = nn.Parameter(torch.zeros(len(widths)))
        self.scale = nn.Parameter(torch.ones(()))
        self.dropout = nn.Dropout(dropout)

    def shares(self, blocks: Sequence[Tensor]) -> Tensor:
        return torch.softmax(self.weights, dim=0).expand(len(blocks[0]), -1)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        hidden = torch.stack([adapter(block) for adapter, block in zip(self.adapters, blocks, strict=True)], dim=1)
        return self.dropout(self.scale * (hidden * self.shares(blocks)[:, :, None]).sum(dim=1))
