"""A gate weighs the sources anew for every item.

    h_k = tanh(W_k block_k + b_k)                        [N, width]
    z   = softmax_k(V [block_1, ..., block_K] + c)       [N, K]   (the shares)
    fused = sum_k z_k h_k                                [N, width]

The shares of an item are positive and sum to one; at the start they are all 1/K, because V and c start at zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "gated multimodal units; Arevalo et al., ICLR workshop 2017"
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
        self.gate = nn.Linear(sum(widths), len(widths))
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)
        self.dropout = nn.Dropout(dropout)

    def shares(self, blocks: Sequence[Tensor]) -> Tensor:
        return torch.softmax(self.gate(torch.cat(list(blocks), dim=1)), dim=1)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        hidden = [torch.tanh(adapter(block)) for adapter, block in zip(self.adapters, blocks, strict=True)]
        fused = (torch.stack(hidden, dim=1) * self.shares(blocks)[:, :, None]).sum(dim=1)
        return self.dropout(fused)
