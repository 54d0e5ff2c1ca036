"""Connectors lead any block into any place: without them each structure would know maps, tokens and grids by itself.

    map [N, C, H, W] → map      normalise, 1 x 1 convolution, resize to the grid of the place
    tokens [N, T, D] → map      tokens that stand for no place (class, registers) are left out, the rest laid on a grid
    map → tokens                the other way round; tokens that stand for no place are learned
    vector → map or tokens      the same vector everywhere
    anything → vector           averaged

Normalisation is per item, so one row alone equals the same row in a batch. A grid shrinks by averaging before the
projection and grows bilinearly after it: both commute with a pointwise projection, and so it is cheapest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.fusion.joints import pooled
from transfuse.types import TapKind

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

# Class and distillation tokens, registers: how many tokens of a layer may stand for no place.
PREFIXES = (0, 1, 2, 4, 5)


@dataclass(frozen=True)
class End:
    """One side of a connector: what kind of block, how wide, on what grid or with how many tokens."""

    name: str
    kind: TapKind
    width: int
    size: tuple[int, ...] = ()
    flexible: bool = True

    @classmethod
    def of(cls, front: Front) -> End:
        return cls(front.name, front.kind, front.width, front.size, front.flexible)


def grid_of(tokens: int) -> tuple[int, int, int] | None:
    """(tokens that stand for no place, rows, columns) of a square grid of tokens; None where there is none."""
    for prefix in PREFIXES:
        side = math.isqrt(max(0, tokens - prefix))
        if side and side * side == tokens - prefix:
            return prefix, side, side
    return None


def as_map(block: Tensor) -> Tensor:
    """Any block as a map [N, C, H, W]; tokens without a grid and vectors become a single pixel."""
    if block.dim() == 4:
        return block
    grid = grid_of(block.shape[1]) if block.dim() == 3 else None
    if grid is None:
        return pooled(block)[:, :, None, None]
    prefix, rows, columns = grid
    return block[:, prefix:].transpose(1, 2).reshape(len(block), block.shape[2], rows, columns)


def resized(block: Tensor, grid: Sequence[int]) -> Tensor:
    """A map on another grid: averaged where it shrinks, bilinear where it grows."""
    sides = tuple(grid)
    smaller = (min(block.shape[2], sides[0]), min(block.shape[3], sides[1]))
    if smaller != tuple(block.shape[2:]):
        block = functional.adaptive_avg_pool2d(block, smaller)
    if sides != tuple(block.shape[2:]):
        block = functional.interpolate(block, size=sides, mode="bilinear", align_corners=False)
    return block


class Connector(nn.Module):
    """`forward(block, like=None) -> block` for the place `target`; `like` is a block there, whose grid is taken.

    Without `like` the grid is the target's, scaled as the source's own grid is on this canvas; a target that takes its
    native grid only gets that.
    """

    def __init__(self, source: End, target: End, *, normalise: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.source, self.target = source, target
        # One group: statistics of the whole item, as a layer norm has them, for maps, tokens and vectors alike.
        self.norm = nn.GroupNorm(1, source.width) if normalise else nn.Identity()
        self.project = nn.Conv2d(source.width, target.width, 1, bias=bias)
        grid = grid_of(target.size[0]) if target.kind == "tokens" and target.size else None
        self.prefix = nn.Parameter(torch.zeros(grid[0], target.width)) if grid and grid[0] else None

    def forward(self, block: Tensor, like: Tensor | None = None) -> Tensor:
        x = as_map(block)
        if self.target.kind == "vector":
            return self.project(self.norm(x)).mean(dim=(2, 3))
        grid = self._grid(x, like)
        if x.shape[2] * x.shape[3] > grid[0] * grid[1]:
            x = resized(x, grid)
        x = resized(self.project(self.norm(x)), grid)
        return x if self.target.kind == "map" else self._as_tokens(x, like)

    def _grid(self, x: Tensor, like: Tensor | None) -> tuple[int, int]:
        if self.target.kind == "tokens":
            tokens = self.target.size[0] if like is None else like.shape[1]
            grid = grid_of(tokens)
            return (1, 1) if grid is None else grid[1:]
        if like is not None:
            return like.shape[2], like.shape[3]
        rows, columns = self.target.size
        if not self.target.flexible or self.source.kind != "map" or not self.source.size:
            return rows, columns
        scale = x.shape[2] / self.source.size[0], x.shape[3] / self.source.size[1]
        return max(1, round(rows * scale[0])), max(1, round(columns * scale[1]))

    def _as_tokens(self, x: Tensor, like: Tensor | None) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        wanted = self.target.size[0] if like is None else like.shape[1]
        if grid_of(wanted) is None:
            return tokens.expand(-1, wanted, -1)
        if self.prefix is None:
            return tokens
        return torch.cat([self.prefix.expand(len(tokens), -1, -1), tokens], dim=1)

    def extra_repr(self) -> str:
        return f"{self.source.name} ({self.source.kind}) → {self.target.name} ({self.target.kind})"


def connector(source: Front, target: Front, *, normalise: bool = True) -> Connector:
    """What leads a front's block into the place of another front."""
    return Connector(End.of(source), End.of(target), normalise=normalise)
