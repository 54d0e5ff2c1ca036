"""A pyramid brings maps of several levels and sources to one width and adds them from the coarsest grid to the finest.

    l_k = conv1x1_k(map_k)                                     [N, width, H_k, W_k]
    p_1 = l_1 on the coarsest grid;   p_j = l_j + resize(p_{j-1})   on each finer grid, levels of one grid added up
    fused = mean over levels j of the mean over space of relu(conv3x3(p_j))                [N, width]

Each source is read at its deepest `levels` grids unless taps are named. The 3 x 3 convolution is shared by all levels.
A source without maps is read at as many of its last layers, whose tokens are laid on their grid. Any canvas fits, down
to 1 x 1 maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.fusion.connectors import as_map

CITATION = "Lin et al., Feature pyramid networks for object detection, CVPR 2017"
PARAMETERS = {
    "width": {"type": "int", "default": 64, "low": 4, "high": 8192, "doc": "channels of the common levels"},
    "dropout": {"type": "float", "default": 0.0, "low": 0.0, "high": 0.95, "doc": "share of fused columns dropped"},
}
TRAITS = {"accepts": "any", "taps": "levels", "symmetric": False, "convex_head": False}


class Fuser(nn.Module):
    """`forward(blocks: K of [N, C_k, H_k, W_k], or tokens [N, T_k, C_k]) -> [N, width]`."""

    def __init__(self, widths: Sequence[int], *, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.laterals = nn.ModuleList([nn.Conv2d(block_width, width, 1) for block_width in widths])
        self.smooth = nn.Conv2d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        levels: dict[tuple[int, ...], Tensor] = {}
        for lateral, block in zip(self.laterals, map(as_map, blocks), strict=True):
            grid = tuple(block.shape[-2:])
            levels[grid] = levels[grid] + lateral(block) if grid in levels else lateral(block)
        found, above = [], None
        for grid in sorted(levels, key=lambda size: (size[0] * size[1], size)):
            level = levels[grid]
            if above is not None:
                level = level + functional.interpolate(above, size=grid)
            above = level
            found.append(functional.relu(self.smooth(level)).mean(dim=(2, 3)))
        return self.dropout(torch.stack(found).mean(dim=0))
