"""A side network learns beside frozen sources: it climbs along them, and nothing is ever sent back through them.

    s_0   = sum_k connect_k0(block_k0)                                                    [N, width, H, W]
    s_i   = m_i * sum_k connect_ki(block_ki) + (1 - m_i) * step_i(s_{i-1}),   m_i = sigmoid(a_i)
    fused = [features_1, ..., features_K, mean of s over its plane]                       [N, sum D_k + width]

step is a convolution, group norm and ReLU. Gradients stay in the side network, so it trains on features that were
computed once, in little memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from transfuse.fusion.connectors import Connector, End, resized
from transfuse.fusion.joints import pooled
from transfuse.fusion.structure._host import blocks_by_name, members_of

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = "Zhang et al., Side-tuning, ECCV 2020; Sung et al., Ladder side-tuning, NeurIPS 2022"
PARAMETERS = {"width": {"type": "int", "default": 64, "low": 4, "high": 4096, "doc": "channels of the side network"}}
TRAITS = {"accepts": "any", "symmetric": False, "convex_head": False}
READS = [{"of": "each", "at": "stages"}, {"of": "each", "at": "features"}]


class Rung(nn.Module):
    """One level: what the sources say there, on one grid, and what the side network already has."""

    def __init__(self, fronts: Sequence[Front], width: int, *, first: bool) -> None:
        super().__init__()
        self.names = [front.name for front in fronts]
        sizes = [front.size for front in fronts if front.kind == "map" and front.size]
        grid = max(sizes, key=lambda size: size[0] * size[1], default=(1, 1))
        target = End("side", "map", width, grid)
        self.connect = nn.ModuleList([Connector(End.of(front), target) for front in fronts])
        groups = next(count for count in (8, 4, 2, 1) if width % count == 0 and width > count)
        self.step = None if first else nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(groups, width), nn.ReLU()
        )  # fmt: skip
        self.gate = None if first else nn.Parameter(torch.zeros(()))

    def forward(self, blocks: Sequence[Tensor], side: Tensor | None) -> Tensor:
        found = [connect(block) for connect, block in zip(self.connect, blocks, strict=True)]
        grid = max((entry.shape[-2:] for entry in found), key=lambda shape: shape[0] * shape[1])
        here = sum(resized(entry, grid) for entry in found)
        if self.step is None or self.gate is None or side is None:
            return here  # pyright: ignore[reportReturnType]
        share = torch.sigmoid(self.gate)
        return share * here + (1 - share) * self.step(resized(side, grid))


class Side(nn.Module):
    """`forward(blocks: every source's levels and features) -> [N, width]`."""

    def __init__(self, fronts: Sequence[Front], width: int) -> None:
        super().__init__()
        self.places = blocks_by_name(fronts)
        ladders, self.features = [], []
        for member in members_of(fronts):
            own = [front for front in fronts if front.member == member]
            ladders.append(own[:-1] or own)
            self.features.append(own[-1].name)
        count = max(len(ladder) for ladder in ladders)
        levels = [[ladder[number] for ladder in ladders if number < len(ladder)] for number in range(count)]
        self.rungs = nn.ModuleList([Rung(level, width, first=not number) for number, level in enumerate(levels)])
        self.width = width + sum(front.width for front in fronts if front.name in self.features)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        side: Tensor | None = None
        for rung in self.rungs:
            side = rung([blocks[self.places[name]] for name in rung.names], side)  # pyright: ignore
        own = [pooled(blocks[self.places[name]]) for name in self.features]
        return torch.cat([*own, pooled(side)], dim=1)  # pyright: ignore[reportArgumentType]


def build(fronts: Sequence[Front], *, width: int) -> nn.Module:
    """The side network for these sources."""
    return Side(fronts, width)
