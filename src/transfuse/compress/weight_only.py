"""Round the weights of linear layers to 8 bits and compute in float: a quarter of the bytes, for transformers.

    w -> s round(w / s), s = max |w| / 127 of each output channel; activations stay as they are

A convolution keeps its weights, so a convolutional network hardly gets smaller: quantise or prune that. Nothing gets
faster: weights are widened when they are used.
"""

from __future__ import annotations

from torch import nn

from transfuse.compress import Rows
from transfuse.errors import UserError
from transfuse.fusion.rounded import Rounded
from transfuse.source.base import Source

CITATION = "Dettmers, Lewis, Belkada, Zettlemoyer, LLM.int8(): 8-bit Matrix Multiplication, NeurIPS 2022"
TRAITS = {"trains": False, "smaller": True, "faster": False, "near": 0.1}


def compress(model: Source, rows: Rows) -> Source:
    """The network with rounded linear layers. Raises UserError where it has none."""
    if not any(type(layer) is nn.Linear for layer in model.modules()):
        where = f"'{model.card.name}'"
        raise UserError("there is no linear layer to round", where=where, hint="compress: quantise")
    return Rounded(model)
