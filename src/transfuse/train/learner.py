"""A network as an objective sees it; without this file every objective would know how networks are put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Parts:
    """What one pass gives: `blocks` K of [N, D_k] (or maps) as the fusing body meets them, `fused [N, D]`,
    `logits [N, C]`."""

    blocks: list[Tensor]
    fused: Tensor
    logits: Tensor


class Learner(Protocol):
    """Takes a batch of the feed. `widths` are those of the blocks, `width` of the fused block, `outputs` C."""

    module: nn.Module

    def __call__(self, inputs: list[Tensor]) -> Tensor: ...
    def parts(self, inputs: list[Tensor]) -> Parts: ...
    @property
    def widths(self) -> list[int]: ...
    @property
    def width(self) -> int: ...
    @property
    def outputs(self) -> int: ...


class OnBlocks:
    """A crown that is fed with its members' blocks."""

    def __init__(self, crown: nn.Module) -> None:
        self.module = crown
        self.crown: Any = crown

    def __call__(self, inputs: list[Tensor]) -> Tensor:
        return self.crown(inputs)

    def parts(self, inputs: list[Tensor]) -> Parts:
        blocks = self.crown.joined(inputs)
        fused = self.crown.body(blocks)
        return Parts(blocks, fused, self.crown.head(fused))

    @property
    def widths(self) -> list[int]:
        return [joint.width for joint in self.crown.joints]

    @property
    def width(self) -> int:
        return self.crown.width

    @property
    def outputs(self) -> int:
        return self.crown.head.out_features


class OnCanvas(OnBlocks):
    """A whole network that is fed with canvases: its members first, then its crown."""

    def __init__(self, network: Any) -> None:
        super().__init__(network.crown)
        self.module: Any = network

    def __call__(self, inputs: list[Tensor]) -> Tensor:
        return self.module(inputs[0])

    def parts(self, inputs: list[Tensor]) -> Parts:
        return super().parts(self.module.member_blocks(inputs[0]))
