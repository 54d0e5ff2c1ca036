"""Compressed multi-layer taps: every tapped layer of every source gives a few columns, and a light head weighs all.

    c_l   = norm(W_l block_l)                            [N, columns] for every tapped layer l of every source
    fused = gelu(V [c_1, ..., c_L] + b)                  [N, width]

What a last layer has thrown away is often still there in earlier ones, and a few columns of each layer cost little:
L (D_l + 1) columns + L columns width numbers in all. Each source is read at the end of its deepest stages and at its
penultimate features unless taps are named. `norm` is per item and layer (layer norm), so no layer drowns the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "after ComBo, compressed multi-layer features of frozen backbones, 2025; Evci et al., Head2Toe, ICML 2022"
PARAMETERS = {
    "columns": {"type": "int", "default": 32, "low": 2, "high": 8192, "doc": "columns that each tapped layer gives"},
    "width": {"type": "int", "default": 128, "low": 1, "high": 65536, "doc": "width of the joint layer"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "taps": "layers", "symmetric": False, "convex_head": False}


class Fuser(nn.Module):
    """`forward(blocks: L of [N, D_l]) -> [N, width]`."""

    def __init__(self, widths: Sequence[int], *, columns: int, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.compress = nn.ModuleList([nn.Linear(block_width, columns) for block_width in widths])
        self.norms = nn.ModuleList([nn.LayerNorm(columns) for _ in widths])
        self.joint = nn.Linear(columns * len(widths), width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        layers = zip(self.norms, self.compress, blocks, strict=True)
        columns = torch.cat([norm(compress(block)) for norm, compress, block in layers], dim=1)
        return self.dropout(nn.functional.gelu(self.joint(columns)))
