"""Linear heads on columns that do not change, many at once: without this file a head whose gradient is one line would
be trained through a network, an automatic derivative and a general optimiser, most of whose time is not arithmetic.

    z = x W' + b      p = softmax(z)      dL/dW = (p − q)' x / B      dL/db = mean of p − q      L = mean of −Σ q log p

`q` are the wanted shares of classes. Rows carry a last column of ones, so that W and b are one array. Heads of one
group see the same batch, so all of them are one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from transfuse.schedules import Schedule
from transfuse.train.stack_adam import StackedAdam
from transfuse.train.stack_given import Group


def is_linear(model: Any) -> bool:
    """Whether nothing of a crown learns but its plain linear head, and what lies below answers the same in training."""
    head = getattr(model, "head", None)
    if type(head) is not nn.Linear or head.bias is None or not hasattr(model, "fuse"):
        return False
    own = {id(parameter) for parameter in head.parameters()}
    alone = all(id(parameter) in own for parameter in model.parameters())
    return alone and not any(isinstance(part, _BatchNorm) for part in model.modules())


class LinearStack:
    """Heads [G groups, T tracks each] on columns of their group; weights [G, T, C, D + 1], bias last."""

    def __init__(self, models: Sequence[Any], groups: Sequence[Group], schedule: Schedule) -> None:
        self.groups = groups
        self.places = [place for group in groups for place in group.tracks]
        whole = [torch.cat([models[at].head.weight, models[at].head.bias[:, None]], 1) for at in self.places]
        self.weights = torch.stack(whole).detach().clone()
        self.columns = [
            group.computed(lambda blocks, at=group.tracks[0]: [_with_ones(models[at].fuse(blocks))])[0]
            for group in groups
        ]
        self.adam = StackedAdam(self.weights, self.weights[..., :-1], schedule.weight_decay)
        self.order = torch.tensor(self.places, device=self.weights.device)
        self.sorted = self.places == sorted(self.places)

    def step(self, chosen: Sequence[Tensor], rates: Tensor, going: Sequence[bool]) -> Tensor:
        """The mean loss of each track [M] on these places of its group's rows, from which all of them then learn."""
        x = _picked(self.columns, chosen)
        wanted = _picked([group.wanted for group in self.groups], chosen)[:, :, None, :]
        count, rows = len(self.groups), x.shape[1]
        z = torch.bmm(x, self.weights.view(count, -1, x.shape[2]).transpose(1, 2))
        logs = z.view(count, rows, -1, wanted.shape[3]).log_softmax(dim=3)
        losses = (wanted * logs).sum(dim=(1, 3)).view(-1) / -rows
        slope = logs.exp_().sub_(wanted).div_(rows).view(count, rows, -1)
        gradient = torch.bmm(slope.transpose(1, 2), x).view_as(self.weights)
        self.adam.learn(gradient, rates if self.sorted else rates[self.order])
        return losses if self.sorted else torch.empty_like(losses).index_copy_(0, self.order, losses)

    def scores(self, going: Sequence[bool]) -> list[np.ndarray | None]:
        """Logits [N, C] of each track's held rows; None where it has none."""
        found: list[np.ndarray | None] = [None] * len(self.places)
        each = len(self.places) // len(self.groups)
        for number, (group, columns) in enumerate(zip(self.groups, self.columns, strict=True)):
            if group.held is None:
                continue
            weights = self.weights[number * each : (number + 1) * each]
            x = columns[torch.from_numpy(group.held).to(columns.device)]
            z = (x @ weights.view(-1, x.shape[1]).T).view(len(x), each, -1).transpose(0, 1).contiguous().cpu().numpy()
            for place, scores in zip(group.tracks, z, strict=True):
                found[place] = scores
        return found

    def kept(self, place: int) -> dict[str, Tensor]:
        """A copy of one track's head."""
        own = self.weights[self.places.index(place)]
        return {"head.weight": own[:, :-1].clone(), "head.bias": own[:, -1].clone()}


def _with_ones(columns: Tensor) -> Tensor:
    return torch.cat([columns, columns.new_ones(len(columns), 1)], 1)


def _picked(arrays: Sequence[Tensor], chosen: Sequence[Tensor]) -> Tensor:
    """Rows of each group's array [G, B, ...]."""
    if len(arrays) == 1:
        return arrays[0].index_select(0, chosen[0].to(arrays[0].device))[None]
    return torch.stack(
        [array.index_select(0, rows.to(array.device)) for array, rows in zip(arrays, chosen, strict=True)]
    )
