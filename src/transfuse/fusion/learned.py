"""Coefficients that learn: a network whose weights are a merge, all that is trainable are the members' weights.

    weights = merge(x, w), w [K] or [L, K]        by any differentiable method of `weights/`; L groups of tensors

`Blend` is a module like any other, so any training and any objective can move its weights; choosers that learn
(`choosers/adamerging.py`) are given one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.fusion.buffers import what_is_no_weight
from transfuse.fusion.contract import Unit
from transfuse.registry import Entry
from transfuse.seeds import stream


class Blend(nn.Module):
    """Inputs [N, ...] to logits [N, C] through merged weights; `coefficients` [L, K] start at equal shares.

    `layer_of(tensor name)` puts tensors into groups with weights of their own; by default all share one row. Running
    statistics and integers are the first member's. Raises UserError for methods that need statistics of the members.
    """

    def __init__(
        self,
        entry: Entry,
        network: nn.Module,
        members: Sequence[Mapping[str, Tensor]],
        base: Mapping[str, Tensor] | None = None,
        *,
        layer_of: Callable[[str], str] = lambda name: "",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if entry.needs or (entry.traits.get("needs_base") and base is None):
            raise UserError(f"{entry.full_name} cannot be learned so", expected="a base, and no statistics of members")
        self.entry, self.settings = entry, entry.settings(settings or {})
        self.network = network.eval().requires_grad_(False)
        names = list(members[0])
        self.moved = [n for n in names if members[0][n].is_floating_point() and not what_is_no_weight(n, names)]
        self.layers = sorted({layer_of(name) for name in self.moved})
        self.rows = {name: self.layers.index(layer_of(name)) for name in self.moved}
        self.members = {
            name: torch.stack([member[name].detach().double() for member in members]) for name in self.moved
        }
        self.base = None if base is None else {name: base[name].detach().double() for name in self.moved}
        self.kept = {name: members[0][name].detach().clone() for name in names if name not in self.moved}
        self.coefficients = nn.Parameter(torch.full((len(self.layers), len(members)), 1.0 / len(members)))

    def merged(self) -> dict[str, Tensor]:
        """The merged tensors, a function of the coefficients."""
        merge = self.entry.load().merge
        return self.kept | {
            name: merge(
                Unit(
                    name=name,
                    x=x,
                    w=self.coefficients[self.rows[name]].double(),
                    rng=stream(0, "merge", name),
                    base=None if self.base is None else self.base[name],
                    settings=self.settings,
                )
            ).float()
            for name, x in self.members.items()
        }

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.func.functional_call(self.network, self.merged(), (inputs,))
