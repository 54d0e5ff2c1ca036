"""Attention lets the sources look at each other: each block is a token, and a query sums up what they say together.

    t_k   = W_k block_k + e_k                            [N, K, width]
    u     = t + attention(t, t, t),   u = u + relu-mlp(norm(u))
    z     = softmax_k(q . norm(u)_k / sqrt(width))       [N, K]   (the shares)
    fused = sum_k z_k norm(u)_k                          [N, width]

`e_k` says which source a token is. Normalisation is per token, so one row alone equals the same row in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "Vaswani et al., Attention is all you need, NeurIPS 2017; Lin et al., self-attentive embedding, ICLR 2017"
PARAMETERS = {
    "width": {"type": "int", "default": 128, "low": 8, "high": 8192, "doc": "width of a token; a multiple of 8"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": False}
HEADS = 4


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`; `shares(blocks) -> [N, K]`."""

    def __init__(self, widths: Sequence[int], *, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.adapters = nn.ModuleList([nn.Linear(block_width, width) for block_width in widths])
        self.origin = nn.Parameter(0.02 * torch.randn(len(widths), width))
        # More heads than divide the width would not be allowed.
        heads = next(count for count in (HEADS, 2, 1) if width % count == 0)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.dropout = nn.Dropout(dropout)

    def _tokens(self, blocks: Sequence[Tensor]) -> Tensor:
        tokens = torch.stack([adapter(block) for adapter, block in zip(self.adapters, blocks, strict=True)], dim=1)
        tokens = tokens + self.origin
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.after(tokens + self.mix(self.before(tokens)))

    def _weights(self, tokens: Tensor) -> Tensor:
        return torch.softmax(tokens @ self.query / self.width**0.5, dim=1)

    def shares(self, blocks: Sequence[Tensor]) -> Tensor:
        return self._weights(self._tokens(blocks))

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        tokens = self._tokens(blocks)
        return self.dropout((self._weights(tokens)[:, :, None] * tokens).sum(dim=1))
