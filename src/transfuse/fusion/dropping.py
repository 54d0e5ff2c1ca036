"""What is left out of a fusion on purpose: columns or whole branches in training, and in turn at prediction; without
this file a network could lean on one source, and nobody would know how sure it is without some of its parts.

Branch dropout silences a whole branch of a row, all its blocks, by its training mean (0 after the joints); of every row
at least one branch stays (Neverova et al., ModDrop, PAMI 2016). Feature dropout leaves out columns, or channels of a
map, and scales the rest by 1 / (1 - p) (Srivastava et al., JMLR 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.seeds import integer


class Dropping(nn.Module):
    """`forward(blocks) -> blocks`; in evaluation they pass. `branches` says which branch each block belongs to."""

    def __init__(self, branches: Sequence[int], branch: float = 0.0, feature: float = 0.0) -> None:
        super().__init__()
        self.branches = tuple(branches)
        self.branch = branch
        self.feature = feature

    def forward(self, blocks: list[Tensor]) -> list[Tensor]:
        if not self.training or not (self.branch or self.feature):
            return blocks
        return self.masked(blocks, len(blocks[0]), None)

    def masked(self, blocks: list[Tensor], rows: int, rng: torch.Generator | None) -> list[Tensor]:
        """Blocks with masks drawn for so many rows; 1 draws masks that all rows share."""
        if self.feature:
            masks = [_mask((rows, block.shape[1]), self.feature, rng).to(block) for block in blocks]
            blocks = [block * _wide(mask, block) for block, mask in zip(blocks, masks, strict=True)]
        if self.branch:
            kept = _kept(rows, max(self.branches) + 1, self.branch, rng).to(blocks[0])
            blocks = [
                block * _wide(kept[:, [branch]], block) for block, branch in zip(blocks, self.branches, strict=True)
            ]
        return blocks


def _wide(mask: Tensor, block: Tensor) -> Tensor:
    return mask.reshape(*mask.shape, *[1] * (block.dim() - 2))


def _mask(shape: Sequence[int], share: float, rng: torch.Generator | None) -> Tensor:
    """1 / (1 - share) where kept, else 0."""
    return (torch.rand(*shape, generator=rng) >= share).to(torch.float32) / (1 - share)


def _kept(rows: int, branches: int, share: float, rng: torch.Generator | None) -> Tensor:
    """1 for each branch that stays [rows, branches]; the luckiest one always does."""
    draws = torch.rand(rows, branches, generator=rng)
    stays = (draws >= share) | (draws == draws.max(dim=1, keepdim=True).values)
    return stays.to(torch.float32)


def averaged(crown: Any, blocks: Sequence[Tensor], passes: int) -> Tensor:
    """log of the mean class probabilities [N, C] over networks with parts left out (Gal, Ghahramani, ICML 2016).

    Each pass draws one mask for every dropout of the fusing body and for dropped columns and branches, which all rows
    share: so a row does not depend on its batch, and a prediction can be made again. Members run once.
    """
    joined = crown.joined(blocks)
    layers = [layer for layer in crown.body.modules() if isinstance(layer, nn.Dropout) and layer.p > 0]
    found = []
    for number in range(passes):
        rng = torch.Generator().manual_seed(integer("monte carlo", number))
        handles = [layer.register_forward_hook(partial(_leave_out, rng)) for layer in layers]
        try:
            body = crown.body(crown.dropping.masked(joined, 1, rng))
        finally:
            for handle in handles:
                handle.remove()
        found.append(torch.log_softmax(crown.head(body), dim=1))
    return torch.logsumexp(torch.stack(found), dim=0) - torch.log(torch.tensor(float(passes)))


def _leave_out(rng: torch.Generator, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    return output * _mask((1, *output.shape[1:]), float(layer.p), rng).to(output)  # pyright: ignore[reportArgumentType]
