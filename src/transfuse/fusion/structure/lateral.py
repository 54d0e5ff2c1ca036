"""Lateral connections feed what frozen sources find, level by level, into a network that learns.

    h_i <- h_i + sum over sources s of U_si relu(connect_si(block_si))       at each of up to three cuts i of the host
    fused = the host's features                                              [N, D]

The host is the recipient, the user's own network, where there is one; else the first source. U starts at zero, so the
host starts as it is, and a source that does not help need not be listened to. Without sources this is the host alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from transfuse.fusion.connectors import connector
from transfuse.fusion.structure._host import Stretches, blocks_by_name, members_of, zero

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = "Rusu et al., Progressive neural networks, 2016 (arXiv:1606.04671)"
PARAMETERS = {}
TRAITS = {"accepts": "any", "joints": "plain", "symmetric": False, "convex_head": False}
READS = [
    {"of": "host", "at": "entry"},
    {"of": "guests", "at": "stages"},
    {"of": "host", "at": "later", "use": "place"},
]


class Lateral(nn.Module):
    """One connection: `forward(block, host's block) -> what is added to it`."""

    def __init__(self, source: Front, target: Front) -> None:
        super().__init__()
        self.connect = connector(source, target)
        self.open = zero(
            nn.Conv2d(target.width, target.width, 1) if target.kind == "map" else nn.Linear(target.width, target.width)
        )

    def forward(self, block: Tensor, like: Tensor) -> Tensor:
        return self.open(functional.relu(self.connect(block, like)))


class LateralNetwork(nn.Module):
    """`forward(blocks: the host's first, then the sources') -> [N, width]`."""

    def __init__(self, fronts: Sequence[Front]) -> None:
        super().__init__()
        self.host = Stretches(fronts, members_of(fronts, host=True)[0])
        self.width = self.host.width
        self.places = blocks_by_name(fronts)
        self.laterals = nn.ModuleList()
        self.sources: list[list[str]] = []
        guests = [[f for f in fronts if f.member == member] for member in members_of(fronts, host=False)]
        for number, cut in enumerate(self.host.cuts):
            level = [blocks[number] for blocks in guests if number < len(blocks)]
            self.laterals.append(nn.ModuleList([Lateral(front, cut) for front in level]))
            self.sources.append([front.name for front in level])

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        x = self.host.first(blocks)
        for number, (laterals, names) in enumerate(zip(self.laterals, self.sources, strict=True)):
            more = [lateral(blocks[self.places[name]], x) for lateral, name in zip(laterals, names, strict=True)]  # pyright: ignore[reportArgumentType]
            x = self.host.step(number, x + sum(more) if more else x)
        return x


def build(fronts: Sequence[Front]) -> nn.Module:
    """The host with its connections."""
    return LateralNetwork(fronts)
