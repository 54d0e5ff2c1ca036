"""Crowns of which more learns than the head, stacked: without this file gates and mixtures would be trained one by one.

Body and head of all tracks are one function over stacked weights (`torch.vmap`), its gradient one backward pass.
Joints do not learn, so what they give is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from transfuse.schedules import Schedule
from transfuse.train.stack_adam import StackedAdam
from transfuse.train.stack_given import SCORING_BATCH, Group


class _Learned(nn.Module):
    """Body and head of a crown, under the names they have there."""

    def __init__(self, crown: Any) -> None:
        super().__init__()
        self.body, self.head = crown.body, crown.head

    def forward(self, blocks: list[Tensor]) -> Tensor:
        return self.head(self.body(blocks))


class BodyStack:
    """Tracks in groups that share their batches; weights [M, ...] by name."""

    def __init__(self, models: Sequence[Any], groups: Sequence[Group], schedule: Schedule) -> None:
        self.groups = groups
        self.parts = [_Learned(model) for model in models]
        stacked, self.buffers = stack_module_state(self.parts)  # pyright: ignore[reportArgumentType]
        # What each track learns lies side by side [M, P], what decays first; the weights by name are views of that.
        names = sorted(
            (name for name, value in stacked.items() if value.requires_grad), key=lambda n: stacked[n].dim() <= 2
        )
        self.flat = torch.cat([stacked[name].detach().flatten(1) for name in names], dim=1)
        self.weights, begin, decaying = dict(stacked), 0, 0
        for name in names:
            end = begin + stacked[name][0].numel()
            self.weights[name] = self.flat[:, begin:end].view_as(stacked[name]).requires_grad_()
            begin, decaying = end, end if stacked[name].dim() > 2 else decaying
        self.learned = [self.weights[name] for name in names]
        self.adam = StackedAdam(self.flat, self.flat[:, :decaying], schedule.weight_decay)
        self.blocks = [group.computed(lambda given, at=group.tracks[0]: models[at].joined(given)) for group in groups]
        self.places = {place: number for number, group in enumerate(groups) for place in group.tracks}

    def _answers(self, blocks: Sequence[Tensor], *, shared: bool) -> Tensor:
        """Logits [M, N, C] of blocks [N, ...] that all tracks share, or [M, N, ...]."""

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], given: list[Tensor]) -> Tensor:
            return functional_call(self.parts[0], (weights, buffers), (given,))

        return torch.vmap(one, in_dims=(0, 0, None if shared else 0))(self.weights, self.buffers, list(blocks))

    def _picked(self, arrays: Sequence[Tensor], chosen: Sequence[Tensor]) -> Tensor:
        """Rows of each group's array: [N, ...] where there is one group, else [M, N, ...]."""
        if len(arrays) == 1:
            return arrays[0].index_select(0, chosen[0].to(arrays[0].device))
        each = [array.index_select(0, rows.to(array.device)) for array, rows in zip(arrays, chosen, strict=True)]
        return torch.stack([each[self.places[place]] for place in range(len(self.places))])

    def step(self, chosen: Sequence[Tensor], rates: Tensor) -> Tensor:
        """The mean loss of each track [M] on these places of its group's rows, from which it then learns."""
        shared = len(self.groups) == 1
        self.parts[0].train()
        blocks = [self._picked(arrays, chosen) for arrays in zip(*self.blocks, strict=True)]
        wanted = self._picked([group.wanted for group in self.groups], chosen)
        logs = self._answers(blocks, shared=shared).float().log_softmax(dim=2)
        losses = -(logs * wanted).sum(dim=2).mean(dim=1)
        gradients = torch.autograd.grad(losses.sum(), self.learned)
        self.adam.learn(torch.cat([gradient.flatten(1) for gradient in gradients], dim=1), rates)
        return losses.detach()

    @torch.no_grad()
    def scores(self) -> list[np.ndarray | None]:
        """Logits [N, C] of each track's held rows; None where it has none."""
        self.parts[0].eval()
        found: list[np.ndarray | None] = [None] * len(self.places)
        for group, blocks in zip(self.groups, self.blocks, strict=True):
            if group.held is None:
                continue
            held = torch.from_numpy(group.held).to(blocks[0].device)
            pieces = [
                self._answers([block.index_select(0, rows) for block in blocks], shared=True).float().cpu().numpy()
                for rows in held.split(SCORING_BATCH)
            ]
            together = np.concatenate(pieces, axis=1)
            for place in group.tracks:
                found[place] = np.ascontiguousarray(together[place])
        return found

    def kept(self, place: int) -> dict[str, Tensor]:
        """A copy of what one track has learned."""
        return {name: value[place].detach().clone() for name, value in self.weights.items()}
