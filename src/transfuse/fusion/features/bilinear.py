"""Low-rank bilinear pooling multiplies what the sources say, so that two weak agreeing signs count as one strong one.

    h_k  = tanh(W_k block_k + c_k)                       [N, rank]
    both = sum over pairs j < k of  h_j * h_k            [N, rank]
    fused = [ sum_k h_k, U both ]                        [N, 2 rank]

The first half keeps each source's own voice; with one source the second half is zero. U mixes the products.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "Kim et al., Hadamard product for low-rank bilinear pooling, ICLR 2017"
PARAMETERS = {
    "rank": {"type": "int", "default": 128, "low": 1, "high": 32768, "doc": "rank of the products"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": False}


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, 2 rank]`."""

    def __init__(self, widths: Sequence[int], *, rank: int, dropout: float) -> None:
        super().__init__()
        self.width = 2 * rank
        self.factors = nn.ModuleList([nn.Linear(block_width, rank) for block_width in widths])
        self.products = nn.Linear(rank, rank, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        hidden = torch.stack([torch.tanh(factor(block)) for factor, block in zip(self.factors, blocks, strict=True)])
        total = hidden.sum(dim=0)
        # The sum over pairs is half of what the square of the sum has beyond the sum of squares.
        both = 0.5 * (total.square() - hidden.square().sum(dim=0))
        return self.dropout(torch.cat([total, self.products(both)], dim=1))
