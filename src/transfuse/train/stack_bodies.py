"""Crowns of which more learns than the head, stacked: without this file gates and mixtures would be trained one by one.

Body and head of all tracks are one function over stacked weights (`torch.vmap`), its gradient one backward pass. Joints
do not learn, so what they give is computed once. Each track has PyTorch's fused step on its own row: one pass over the
weights, where a step stated in tensor operations takes a dozen. A track that has ended is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from transfuse.schedules import Schedule
from transfuse.train.adamw import AdamW
from transfuse.train.stack_adam import clip
from transfuse.train.stack_given import SCORING_BATCH, Group


class _Learned(nn.Module):
    """Body and head of a crown, under the names they have there."""

    def __init__(self, crown: Any) -> None:
        super().__init__()
        self.body, self.head = crown.body, crown.head

    def forward(self, blocks: list[Tensor]) -> Tensor:
        return self.head(self.body(blocks))


class BodyStack:
    """Tracks in groups that share their batches; weights [M, ...] by name, of the `tracks` that go on.

    What each track learns lies side by side [M, P], what decays first; the weights by name are views of that.
    """

    def __init__(self, models: Sequence[Any], groups: Sequence[Group], schedule: Schedule) -> None:
        self.groups, self.tracks = groups, list(range(len(models)))
        parts = [_Learned(model) for model in models]
        self.part = parts[0]
        stacked, self.buffers = stack_module_state(parts)  # pyright: ignore[reportArgumentType]
        self.still = {name: value for name, value in stacked.items() if not value.requires_grad}
        self.shapes = {
            name: stacked[name].shape[1:]
            for name in sorted((n for n in stacked if n not in self.still), key=lambda n: stacked[n].dim() <= 2)
        }
        self.decaying = sum(shape.numel() for shape in self.shapes.values() if len(shape) > 1)
        self.decay = schedule.weight_decay
        self.optimisers: dict[int, AdamW] = {}
        self._lay(torch.cat([stacked[name].detach().reshape(len(models), -1) for name in self.shapes], dim=1))
        self.blocks = [group.computed(lambda given, at=group.tracks[0]: models[at].joined(given)) for group in groups]
        self.places = {place: number for number, group in enumerate(groups) for place in group.tracks}

    def _lay(self, flat: Tensor) -> None:
        """Put the weights of the tracks that go on into place; optimisers keep what they know."""
        self.flat, self.slopes, begin = flat, torch.empty_like(flat), 0
        self.weights, self.gradients = dict(self.still), {}
        for name, shape in self.shapes.items():
            columns = slice(begin, begin + shape.numel())
            self.weights[name] = flat[:, columns].view(len(flat), *shape).requires_grad_()
            self.gradients[name] = self.slopes[:, columns].view(len(flat), *shape)
            begin = columns.stop
        for row, track in enumerate(self.tracks):
            parts = [(flat[row, : self.decaying], self.decay), (flat[row, self.decaying :], 0.0)]
            made = AdamW(
                [{"params": [part], "lr": 1.0, "weight_decay": decay} for part, decay in parts], weight_decay=0.0
            )
            for part, gradient in zip(made.parameters(), self._sides(self.slopes[row]), strict=True):
                part.grad = gradient
            if track in self.optimisers:
                made.take(self.optimisers[track])
            self.optimisers[track] = made

    def _sides(self, row: Tensor) -> tuple[Tensor, Tensor]:
        return row[: self.decaying], row[self.decaying :]

    def _narrow(self, going: Sequence[bool]) -> None:
        """Leave out tracks that have ended, where all share their batches."""
        stay = [row for row, track in enumerate(self.tracks) if going[track]]
        if len(self.groups) > 1 or len(stay) in (0, len(self.tracks)):
            return
        rows = torch.tensor(stay, device=self.flat.device)
        self.tracks = [self.tracks[row] for row in stay]
        self.still = {name: value.index_select(0, rows) for name, value in self.still.items()}
        self.buffers = {name: value.index_select(0, rows) for name, value in self.buffers.items()}
        self._lay(self.flat.index_select(0, rows))

    def _answers(self, blocks: Sequence[Tensor], *, shared: bool) -> Tensor:
        """Logits [M, N, C] of blocks [N, ...] that all tracks share, or [M, N, ...]."""

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], given: list[Tensor]) -> Tensor:
            return functional_call(self.part, (weights, buffers), (given,))

        return torch.vmap(one, in_dims=(0, 0, None if shared else 0))(self.weights, self.buffers, list(blocks))

    def _picked(self, arrays: Sequence[Tensor], chosen: Sequence[Tensor]) -> Tensor:
        """Rows of each group's array: [N, ...] where there is one group, else [M, N, ...]."""
        if len(arrays) == 1:
            return arrays[0].index_select(0, chosen[0].to(arrays[0].device))
        each = [array.index_select(0, rows.to(array.device)) for array, rows in zip(arrays, chosen, strict=True)]
        return torch.stack([each[self.places[place]] for place in self.tracks])

    def step(self, chosen: Sequence[Tensor], rates: Tensor, going: Sequence[bool]) -> Tensor:
        """The mean loss of each track [M] on these places of its group's rows, from which it then learns; 0 of tracks
        that have been left out."""
        self._narrow(going)
        shared = len(self.groups) == 1
        self.part.train()
        blocks = [self._picked(arrays, chosen) for arrays in zip(*self.blocks, strict=True)]
        wanted = self._picked([group.wanted for group in self.groups], chosen)
        logs = self._answers(blocks, shared=shared).float().log_softmax(dim=2)
        losses = -(logs * wanted).sum(dim=2).mean(dim=1)
        found = torch.autograd.grad(losses.sum(), [self.weights[name] for name in self.shapes])
        for gradient, place in zip(found, self.gradients.values(), strict=True):
            place.copy_(gradient)
        clip(self.slopes)
        for track in self.tracks:
            if going[track]:
                self.optimisers[track].step(float(rates[track]))
        everyone = torch.zeros_like(rates)
        everyone[self.tracks] = losses.detach()
        return everyone

    @torch.no_grad()
    def scores(self, going: Sequence[bool]) -> list[np.ndarray | None]:
        """Logits [N, C] of each track's held rows; None where it has none, or has been left out."""
        self.part.eval()
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
            for row, track in enumerate(self.tracks):
                if track in group.tracks:
                    found[track] = np.ascontiguousarray(together[row])
        return found

    def kept(self, place: int) -> dict[str, Tensor]:
        """A copy of what one track has learned; it must not have been left out."""
        row = self.tracks.index(place)
        return {name: value[row].detach().clone() for name, value in self.weights.items()}
