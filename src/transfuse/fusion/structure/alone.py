"""The host alone, with nothing connected into it: the control of whatever is.

    fused = the host's features                                    [N, D]

The host is the recipient, the user's own network, where there is one; else the first source. Others are not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from transfuse.fusion.joints import pooled

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = "the control arm of Rusu et al., Progressive neural networks, 2016 (arXiv:1606.04671)"
PARAMETERS = {}
TRAITS = {"accepts": "any", "joints": "plain", "symmetric": False, "convex_head": True}
READS = [{"of": "each", "at": "canvas"}, {"of": "host", "at": "features", "use": "place"}]


class Alone(nn.Module):
    """`forward(blocks: the canvas) -> [N, width]`."""

    def __init__(self, front: Front) -> None:
        super().__init__()
        self.host = front.begin()
        self.width = front.width

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        return pooled(self.host(blocks[0]))


def build(fronts: Sequence[Front]) -> nn.Module:
    """The host."""
    return Alone(next(front for front in fronts if not front.of_canvas))
