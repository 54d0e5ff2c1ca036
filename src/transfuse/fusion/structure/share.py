"""Sharing keeps the early part of each source and grows one new later part for all of them.

    map_k  = front_k(canvas)                                   [N, C_k, H_k, W_k], kept from the source
    common = concat_k( resize(conv1x1_k(map_k)) )              [N, K * width, H, W], on the largest member's grid
    fused  = mean over space of depth x (conv3x3, norm, ReLU)  [N, width]

With one source this is plain partial feature sharing: early layers kept, the rest new. Grids smaller than 4 x 4 are not
halved. Tokens are laid on their grid. Normalisation is by group, so one row alone equals the same row in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.fusion.connectors import as_map

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = "Yosinski et al., How transferable are features in deep neural networks?, NeurIPS 2014"
PARAMETERS = {
    "width": {"type": "int", "default": 64, "low": 4, "high": 4096, "doc": "channels of the new part"},
    "depth": {"type": "int", "default": 2, "low": 1, "high": 16, "doc": "number of new convolutions"},
}
TRAITS = {"accepts": "any", "cut": "early", "symmetric": False, "convex_head": False}


class Shared(nn.Module):
    """`forward(blocks: K of [N, C_k, H_k, W_k]) -> [N, width]`."""

    def __init__(self, fronts: Sequence[Front], width: int, depth: int) -> None:
        super().__init__()
        self.width = width
        self.joints = nn.ModuleList([nn.Conv2d(front.width, width, 1) for front in fronts])
        # A group of one channel would be a constant on a 1 x 1 grid.
        groups = next(count for count in (8, 4, 2, 1) if width % count == 0 and width > count)
        layers: list[nn.Module] = []
        for index in range(depth):
            entering = width * len(fronts) if index == 0 else width
            layers += [nn.Conv2d(entering, width, 3, padding=1, bias=False), nn.GroupNorm(groups, width), nn.ReLU()]
        self.tail = nn.ModuleList(layers)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        maps = [joint(as_map(block)) for joint, block in zip(self.joints, blocks, strict=True)]
        side = max((entry.shape[-2:] for entry in maps), key=lambda shape: shape[0] * shape[1])
        x = torch.cat(
            [entry if entry.shape[-2:] == side else functional.interpolate(entry, size=side) for entry in maps], 1
        )
        for layer in self.tail:
            x = layer(x)
            if isinstance(layer, nn.ReLU) and min(x.shape[-2:]) >= 4:
                x = functional.max_pool2d(x, 2)
        return x.mean(dim=(2, 3))


def build(fronts: Sequence[Front], *, width: int, depth: int) -> nn.Module:
    """The new part for these fronts; its `width` is that of the block it returns."""
    return Shared(fronts, width, depth)
