"""Small sources that can be divided: without them, methods that run parts of sources would need real networks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from transfuse.fusion.joints import pooled
from transfuse.fusion.parts import Opened
from transfuse.reads import CANVAS, Read
from transfuse.seeds import integer
from transfuse.source.base import Source
from transfuse.source.open import make_card, open_source

SIDE = 16
CLASSES = ("a", "b", "x")


class Example(nn.Module):
    """Three convolutions, each halving the grid, and a linear classifier of three classes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (3, width, width + 1, width + 2)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.SiLU())
            for before, after in zip(widths, widths[1:], strict=False)
        )
        self.head = nn.Linear(widths[-1], len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        for stage in self.stages:
            images = stage(images)
        return self.head(images.mean(dim=(2, 3)))


@functools.cache
def _source(name: str, width: int) -> Source:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer("example source", name, width))
        module = Example(width).eval()
    card = make_card(name, module, root=Path(), canvas=SIDE)
    return open_source(replace(card, classes=CLASSES), root=Path(), module=module)


def sources(count: int, *, alike: bool = False, fresh: bool = False) -> dict[str, Source]:
    """So many sources, `alike` in their widths; `fresh` ones may be changed."""
    widths = (4, 4, 4) if alike else (5, 3, 4)
    made = {f"source{index}": _source(f"source{index}", widths[index]) for index in range(count)}
    return copy.deepcopy(made) if fresh else made


@functools.cache
def parts(count: int, *, alike: bool = False) -> Opened:
    """The parts of these sources, divided once for all laws."""
    return Opened(sources(count, alike=alike))


def blocks(members: Mapping[str, Source], reads: Sequence[Read], canvas: Tensor, *, pool: bool) -> list[Tensor]:
    """What a crown would be given of these images, targets last; each block a tensor of its own."""
    found = []
    with torch.no_grad():
        for read in reads:
            if read.use == "place":
                continue
            block = canvas if read.of_canvas else members[read.member].blocks(canvas, [read.tap])[read.tap]
            found.append((pooled(block) if pool and read.tap != CANVAS else block).clone())
    return found
