"""Set the smallest weights to zero, wherever they lie: the baseline of pruning. It is neither smaller nor faster.

Over all weights of convolutions and linear layers of the network's sources the `ratio` of least |w| becomes 0. A zero
is multiplied and stored like any other number, so the arm says what accuracy such sparsity costs, not that it pays.
"""

from __future__ import annotations

import torch
from torch import nn

from transfuse.compress import Rows
from transfuse.compress._branches import branches
from transfuse.source.base import Source

CITATION = "Han, Pool, Tran, Dally, Learning both Weights and Connections for Efficient Neural Networks, NeurIPS 2015"
PARAMETERS = {
    "ratio": {
        "type": "float", "default": 0.5, "low": 0.0, "high": 0.99, "example": 0.8,
        "doc": "share of the weights that become zero",
    }
}  # fmt: skip
# Training on would fill the zeros again.
TRAITS = {"trains": False, "smaller": False, "faster": False}
LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


def compress(model: Source, rows: Rows, *, ratio: float) -> Source:
    """The network with zeros in place of its smallest weights."""
    weights = [
        layer.weight
        for branch in branches(model, "compress/magnitude")
        for layer in branch.source.network.modules()
        if isinstance(layer, LAYERS)
    ]
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights])
    count = int(ratio * len(sizes))
    if not count:
        return model
    # The limit is the size of the last one to go; of equal ones more may go.
    limit = sizes.kthvalue(count).values
    with torch.no_grad():
        for weight in weights:
            weight.masked_fill_(weight.abs() <= limit, 0.0)
    rows.emit("sparsity", share=count / len(sizes))
    return model
