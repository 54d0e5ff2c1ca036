"""A network that computes in bfloat16; without it half the memory would have to be asked for by hand each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from transfuse.fusion.made import Made
from transfuse.source.base import Source

# Layers whose weights are most of a network, and whose sums are kept in 32 bits while they run.
LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


class Lowered(Made):
    """A source whose convolutions and linear layers hold bfloat16 weights, and run so; norms and joints stay float32.

    bfloat16 has the range of float32 and 8 bits of precision: an answer moves by about 1 %. What it gives is float32.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        for layer in source.modules():
            if isinstance(layer, LAYERS):
                layer.to(torch.bfloat16)
        self.kind, self.temperature = source.kind, source.temperature
        self.card = replace(source.card, trainable=False, cuttable=False)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        device = next(self.source.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16):
            given = self.source.blocks(batch, taps)
        return {tap: block.float() for tap, block in given.items()}

    def freeze(self, until: str | None = None) -> None:
        self.source.freeze(until)
