"""Concatenation puts the blocks side by side and lets the head weigh every column.

    fused[n] = [block_1[n], ..., block_K[n]],   D = D_1 + ... + D_K

With `project > 0` a linear map and a ReLU follow, D = project. Blocks come standardised by their joints, so a wide or
loud source does not drown the others. One block passes unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CITATION = "late fusion by concatenation; e.g. Ngiam et al., ICML 2011"
PARAMETERS = {
    "project": {"type": "int", "default": 0, "low": 0, "high": 65536, "doc": "width of a projection after it; 0: none"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "vector", "symmetric": False, "convex_head": True}


class Fuser(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`."""

    def __init__(self, widths: Sequence[int], *, project: int, dropout: float) -> None:
        super().__init__()
        total = sum(widths)
        self.width = project or total
        self.project = nn.Sequential(nn.Linear(total, project), nn.ReLU()) if project else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        return self.dropout(self.project(torch.cat(list(blocks), dim=1)))
