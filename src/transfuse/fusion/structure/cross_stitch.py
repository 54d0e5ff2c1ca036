"""Cross-stitching lets whole networks run side by side and exchange at every cut what each has found.

    y_k = a_kk * x_k + sum over j of a_kj * connect_jk(x_j)        at each of up to three cuts, for each network k
    fused = [features_1, ..., features_K]                          [N, sum D_k]

The shares a are learned per channel; they start at a_kk = 1 - share and a_kj = share / (K - 1). At share 0, the
default, training starts from the networks as they are and opens the exchange only as it pays; the paper starts at 0.1.
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

CITATION = "Misra et al., Cross-stitch networks for multi-task learning, CVPR 2016"
PARAMETERS = {
    "share": {"type": "float", "default": 0.0, "low": 0.0, "high": 1.0, "doc": "what the others count for at the start"}
}
TRAITS = {"accepts": "any", "joints": "plain", "symmetric": False, "convex_head": False, "least": 2}
READS = [{"of": "each", "at": "entry"}, {"of": "each", "at": "later", "use": "place"}]


class Stitch(nn.Module):
    """`forward(blocks: K) -> K blocks` of the same shapes."""

    def __init__(self, cuts: Sequence[Front], share: float) -> None:
        super().__init__()
        count = len(cuts)
        self.own = nn.ParameterList([nn.Parameter(torch.full((cut.width,), 1 - share)) for cut in cuts])
        self.others = nn.ModuleDict()
        self.shares = nn.ParameterDict()
        for to, target in enumerate(cuts):
            for origin, source in enumerate(cuts):
                if origin != to:
                    key = f"{origin} to {to}"
                    self.others[key] = connector(source, target)
                    self.shares[key] = nn.Parameter(torch.full((target.width,), share / (count - 1)))

    def forward(self, blocks: Sequence[Tensor]) -> list[Tensor]:
        found = []
        for to, block in enumerate(blocks):
            mixed = block * _wide(self.own[to], block)
            for origin, other in enumerate(blocks):
                if origin != to:
                    key = f"{origin} to {to}"
                    mixed = mixed + self.others[key](other, block) * _wide(self.shares[key], block)
            found.append(mixed)
        return found


def _wide(shares: Tensor, block: Tensor) -> Tensor:
    """Shares [C] as they lie beside a map's channels or a token's columns."""
    return shares.view(1, -1, 1, 1) if block.dim() == 4 else shares


class CrossStitch(nn.Module):
    """`forward(blocks: K at the first cuts) -> [N, width]`."""

    def __init__(self, fronts: Sequence[Front], share: float) -> None:
        super().__init__()
        self.networks = nn.ModuleList([Stretches(fronts, member) for member in members_of(fronts)])
        cuts = [network.cuts for network in self.networks]
        self.stitches = nn.ModuleList([Stitch(level, share) for level in zip(*cuts, strict=True)])
        self.width = sum(int(network.width) for network in self.networks)  # pyright: ignore[reportArgumentType]

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        x = [network.first(blocks) for network in self.networks]  # pyright: ignore[reportCallIssue]
        for number, stitch in enumerate(self.stitches):
            x = stitch(x)
            x = [network.step(number, block) for network, block in zip(self.networks, x, strict=True)]  # pyright: ignore[reportCallIssue]
        return torch.cat(x, dim=1)


def build(fronts: Sequence[Front], *, share: float) -> nn.Module:
    """The stitched networks."""
    return CrossStitch(fronts, share)
