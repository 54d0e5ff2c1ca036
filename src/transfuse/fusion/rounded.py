"""A network whose linear layers keep their weights in 8 bits; without it the most of a transformer would stay in 32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfuse.fusion.made import Made
from transfuse.source.base import Source

LARGEST = 127


class RoundedLinear(nn.Module):
    """y = x (s q)^T + b: `weight` q [out, in] in -127 … 127, `scale` s [out] with s = max |w| / 127 of each output."""

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        given = layer.weight.detach()
        scale = given.abs().amax(dim=1).clamp_min(torch.finfo(given.dtype).tiny) / LARGEST
        self.register_buffer("weight", (given / scale[:, None]).round().clamp(-LARGEST, LARGEST).to(torch.int8))
        self.register_buffer("scale", scale)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out] in the type of x."""
        return functional.linear(x, (self.weight * self.scale[:, None]).to(x.dtype), self.bias)


class Rounded(Made):
    """A source in which every plain linear layer is a `RoundedLinear`; all else stays as it is.

    Linear layers that their owner reads past their forward (inside `nn.MultiheadAttention`) stay.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        for owner in list(source.modules()):
            if isinstance(owner, nn.MultiheadAttention):
                continue
            for name, layer in list(owner.named_children()):
                if type(layer) is nn.Linear:
                    setattr(owner, name, RoundedLinear(layer))
        self.kind, self.temperature = source.kind, source.temperature
        self.card = replace(source.card, trainable=False, cuttable=False)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        return self.source.blocks(batch, taps)

    def freeze(self, until: str | None = None) -> None:
        self.source.freeze(until)
