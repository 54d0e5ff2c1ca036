"""Cross-attention lets one source ask the others: the first member leads, and takes from the rest what it lacks.

    t_k  = W_k block_k + e_k                             [N, K, width]
    a    = attention(query t_1, keys and values t_2 .. t_K)                                [N, width]
    fused = norm(t_1 + s a)                              [N, width]

`s` starts at zero, so training starts from the leading source alone and opens up to the others only as it pays. With
one source there is nobody to ask. The leader is the first in `of:`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "Alayrac et al., Flamingo (gated cross-attention), NeurIPS 2022; Vaswani et al., NeurIPS 2017"
PARAMETERS = {
    "width": {"type": "int", "default": 128, "low": 8, "high": 8192, "doc": "width of the common space"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": False}
HEADS = 4


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`."""

    def __init__(self, widths: Sequence[int], *, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.adapters = nn.ModuleList([nn.Linear(block_width, width) for block_width in widths])
        self.origin = nn.Parameter(0.02 * torch.randn(len(widths), width))
        heads = next(count for count in (HEADS, 2, 1) if width % count == 0)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.opening = nn.Parameter(torch.zeros(()))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        tokens = torch.stack([adapter(block) for adapter, block in zip(self.adapters, blocks, strict=True)], dim=1)
        tokens = tokens + self.origin
        leader, others = tokens[:, :1], tokens[:, 1:]
        if len(blocks) > 1:
            leader = leader + self.opening * self.attention(leader, others, others, need_weights=False)[0]
        return self.dropout(self.norm(leader[:, 0]))
