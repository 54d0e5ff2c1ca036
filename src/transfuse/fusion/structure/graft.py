"""Grafting inserts a part of one network into another: the host asks the graft at one place, and goes on.

    x     = host at its cut
    y     = x + g * out( part( in(x) ) )             part: the guest between two of its cuts
    fused = the rest of the host on y                [N, D]

`in` and `out` are connectors. The scale g per channel starts at zero: the network starts as the host alone. The host is
the recipient where there is one, else the first source; several guests add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from transfuse.fusion.connectors import connector
from transfuse.fusion.structure._host import Stretches, members_of

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = "Li et al., Deep model reassembly (grafting parts), NeurIPS 2022; Houlsby et al. (zero start), ICML 2019"
PARAMETERS = {}
TRAITS = {"accepts": "any", "joints": "plain", "symmetric": False, "convex_head": False, "least": 2}
READS = [
    {"of": "host", "at": "cut"},
    {"of": "guests", "at": "ends", "use": "place"},
]


class Graft(nn.Module):
    """`forward(x at the host's cut) -> what is added to it`."""

    def __init__(self, host: Front, enter: Front, leave: Front) -> None:
        super().__init__()
        self.enter = connector(host, enter)
        self.part = enter.to(leave.tap)
        self.leave = connector(leave, host)
        self.scale = nn.Parameter(torch.zeros(host.width))

    def forward(self, x: Tensor) -> Tensor:
        found = self.leave(self.part(self.enter(x)), x)
        return found * (self.scale.view(1, -1, 1, 1) if x.dim() == 4 else self.scale)


class Grafted(nn.Module):
    """`forward(blocks: the host's, at its cut) -> [N, width]`."""

    def __init__(self, fronts: Sequence[Front]) -> None:
        super().__init__()
        self.host = Stretches(fronts, members_of(fronts, host=True)[0])
        self.width = self.host.width
        cut = self.host.cuts[0]
        places = [[f for f in fronts if f.member == member] for member in members_of(fronts, host=False)]
        self.grafts = nn.ModuleList([Graft(cut, ends[0], ends[-1]) for ends in places])

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        x = self.host.first(blocks)
        return self.host.step(0, x + sum(graft(x) for graft in self.grafts))


def build(fronts: Sequence[Front]) -> nn.Module:
    """The host with its grafts."""
    return Grafted(fronts)
