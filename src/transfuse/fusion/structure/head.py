"""Head surgery keeps what a source's own classifier knows of the target's classes, and adds the rest.

    fused  = [features_1, ..., features_K]                         [N, sum D_k], as the sources give them
    head_c = [row of c in source 1's classifier, ...] / K          for classes that a source names
             0                                                     for all others, and for those to `redraw`

With one source that names all classes, training starts from exactly its own answers; with several, from the mean of
their logits. `keep: none` replaces the head. Rows of a classifier that is followed by an activation are a start only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from transfuse.errors import UserError, unknown_name

if TYPE_CHECKING:
    from transfuse.fusion.contract import Front

CITATION = (
    "Yosinski et al., NeurIPS 2014; Qi et al., Low-shot learning with imprinted weights (extended heads), CVPR 2018"
)
PARAMETERS = {
    "keep": {"type": "str", "default": "known", "options": ("known", "none"), "doc": "which rows are taken over"},
    "redraw": {"type": "list", "default": [], "doc": "names of classes that start anew although a source knows them"},
}
TRAITS = {
    "accepts": "vector",
    "joints": "plain",
    "symmetric": False,
    "convex_head": True,
    "kinds": "multiclass",
}
READS = [{"of": "each", "at": "features"}, {"of": "each", "at": "features", "use": "place"}]


class Headed(nn.Module):
    """`forward(blocks: K of [N, D_k]) -> [N, width]`; `start(classes) -> weight [C, width], bias [C]`."""

    def __init__(self, fronts: Sequence[Front], keep: str, redraw: Sequence[str]) -> None:
        super().__init__()
        read = [front for front in fronts if front.use == "block"]
        self.widths = [front.width for front in read]
        self.width = sum(self.widths)
        self.redraw = tuple(redraw)
        self.known = [_rows(front) if keep == "known" else {} for front in read]
        every = {name for rows in self.known for name in rows}
        for name in self.redraw:
            if name not in every:
                raise unknown_name("class to redraw", str(name), every)

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(blocks), dim=1)

    def start(self, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
        weight, bias = torch.zeros(len(classes), self.width), torch.zeros(len(classes))
        for index, name in enumerate(classes):
            at = 0
            for width, rows in zip(self.widths, self.known, strict=True):
                if name in rows and name not in self.redraw:
                    row, level = rows[name]
                    weight[index, at : at + width] = row / len(self.known)
                    bias[index] += level / len(self.known)
                at += width
        return weight, bias


def _rows(front: Front) -> dict[str, tuple[Tensor, float]]:
    """{class: (row, bias)} of a source's classifier, by the names its card gives."""
    source = front.source
    card = source.card
    where = f"source '{front.member}' ({card.spec})"
    if not card.classes:
        raise UserError(
            "this source does not name its classes, so no row of its head can be kept",
            where=where,
            hint="keep: none, or state `classes` in its weight file's metadata",
        )
    layer = dict(source.named_modules()).get(f"network.{card.tap(front.tap).place}")
    if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.weight.shape[0] != len(card.classes):
        raise UserError("no classifier reads this tap", where=where, got=front.tap, expected="the tap 'vector'")
    weight = layer.weight.detach().flatten(1)
    bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return {name: (weight[index].clone(), float(bias[index])) for index, name in enumerate(card.classes)}


def build(fronts: Sequence[Front], *, keep: str, redraw: list[str]) -> nn.Module:
    """The features side by side, and where their head starts."""
    return Headed(fronts, keep, redraw)
