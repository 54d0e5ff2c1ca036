"""Running a network in stretches between its cuts, so that structures can do something at each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from transfuse.fusion.joints import pooled

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front


def blocks_by_name(fronts: Sequence[Front]) -> dict[str, int]:
    """Where among the blocks each front's own stands."""
    given = [front for front in fronts if front.use == "block"]
    return {front.name: index for index, front in enumerate(given)}


class Stretches(nn.Module):
    """One network from its first cut to its features, in as many stretches as it has cuts.

    `first(blocks)` is the block at the first cut: read from a source, or computed from the canvas in a recipient, which
    learns from its first layer on. `onward[i]` leads from cut i to the next, the last one to the features [N, width].
    """

    def __init__(self, fronts: Sequence[Front], member: str) -> None:
        super().__init__()
        self.cuts = [front for front in fronts if front.member == member and not front.of_canvas]
        places = blocks_by_name(fronts)
        self.index = places.get(self.cuts[0].name)
        self.canvas = places.get("canvas")
        self.head = self.cuts[0].begin() if self.index is None else None
        ends = [*(cut.tap for cut in self.cuts[1:]), None]
        self.onward = nn.ModuleList([cut.to(end) for cut, end in zip(self.cuts, ends, strict=True)])
        self.features = self.cuts[0].features
        self.width = self.features.width

    def first(self, blocks: Sequence[Tensor]) -> Tensor:
        if self.head is not None:
            return self.head(blocks[self.canvas or 0])
        return blocks[self.index or 0]

    def step(self, number: int, block: Tensor) -> Tensor:
        """From cut `number` to the next; after the last, the features averaged to a vector."""
        found = self.onward[number](block)
        return pooled(found) if number == len(self.cuts) - 1 else found


def members_of(fronts: Sequence[Front], *, host: bool | None = None) -> list[str]:
    """The members in their order; only the host, or only the guests, where asked."""
    return list(
        dict.fromkeys(front.member for front in fronts if not front.of_canvas and (host is None or front.host == host))
    )


def zero(layer: nn.Module) -> nn.Module:
    """A layer that starts by adding nothing."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    return layer
