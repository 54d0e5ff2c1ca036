"""A network as an objective sees it; without this file every objective would know how networks are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Parts:
    """What one pass gives: `blocks` K of [N, D_k] (or maps) after their joints, before any is dropped, `fused [N, D]`,
    `logits [N, C]`."""

    blocks: list[Tensor]
    fused: Tensor
    logits: Tensor


class Learner(Protocol):
    """Takes a batch of the feed. `widths` are those of the blocks, `width` of the fused block, `outputs` C; `branches`
    says to which branch (a member on a view) each block belongs; `on_canvas` that batches are canvases."""

    module: nn.Module
    on_canvas: bool

    def __call__(self, inputs: list[Tensor]) -> Tensor: ...
    def parts(self, inputs: list[Tensor]) -> Parts: ...
    def blocks(self, inputs: list[Tensor]) -> list[Tensor]: ...
    def restandardise(self, batches: Sequence[list[Tensor]]) -> None: ...
    @property
    def branches(self) -> tuple[int, ...]: ...
    @property
    def widths(self) -> list[int]: ...
    @property
    def width(self) -> int: ...
    @property
    def outputs(self) -> int: ...


class OnBlocks:
    """A crown that is fed with its members' blocks."""

    on_canvas = False

    def __init__(self, crown: nn.Module) -> None:
        self.module = crown
        self.crown: Any = crown

    def __call__(self, inputs: list[Tensor]) -> Tensor:
        return self.crown(inputs)

    def read(self, inputs: list[Tensor]) -> list[Tensor]:
        """Blocks before their joints."""
        return inputs

    def blocks(self, inputs: list[Tensor]) -> list[Tensor]:
        return self.crown.joined(self.read(inputs))

    def restandardise(self, batches: Sequence[list[Tensor]]) -> None:
        """Joints take their statistics from these batches together."""
        columns = zip(*(self.read(inputs)[: len(self.crown.joints)] for inputs in batches), strict=True)
        for joint, parts in zip(self.crown.joints, columns, strict=True):
            joint.settle(torch.cat(parts))

    def parts(self, inputs: list[Tensor]) -> Parts:
        return self._parts(self.blocks(inputs))

    def answer(self, blocks: list[Tensor]) -> Tensor:
        """Logits of blocks that have passed their joints, nothing dropped."""
        return self.crown.head(self.crown.body(blocks))

    def shares(self, blocks: list[Tensor]) -> Tensor | None:
        """Weights [N, K] of such blocks, where the fusing method reports them."""
        return self.crown.body.shares(blocks) if hasattr(self.crown.body, "shares") else None

    def _parts(self, blocks: list[Tensor]) -> Parts:
        fused = self.crown.body(self.crown.dropping(blocks))
        return Parts(blocks, fused, self.crown.head(fused))

    @property
    def branches(self) -> tuple[int, ...]:
        return self.crown.dropping.branches

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

    on_canvas = True

    def __init__(self, network: Any) -> None:
        super().__init__(network.crown)
        self.module: Any = network

    def __call__(self, inputs: list[Tensor]) -> Tensor:
        return self.module(inputs[0])

    def read(self, inputs: list[Tensor]) -> list[Tensor]:
        return self.module.member_blocks(inputs[0])
