"""What each linear layer is given on a network's own data: the second moments of its inputs.

    G = E[x x^T]        [in, in] a linear layer, [in h w, in h w] a convolution, by the name of its weight

Of a convolution x runs over the patches that its kernel sees. Grouped convolutions and layers with more than `largest`
inputs have none. At most `rows` inputs a batch are taken, spread evenly. In evaluation mode.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CITATION = "Jin et al., Dataless knowledge fusion by merging weights of language models (RegMean), ICLR 2023"
PARAMETERS = {
    "largest": {"type": "int", "default": 2048, "low": 1, "high": 100_000, "doc": "inputs a layer may have"},
    "rows": {"type": "int", "default": 4096, "low": 1, "high": 10_000_000, "doc": "inputs taken from a batch"},
}


def collect(
    network: nn.Module, batches: Iterable[Tensor], rng: np.random.Generator, largest: int = 2048, rows: int = 4096
) -> dict[str, np.ndarray]:
    """{weight: [n, n] float64} from batches [N, ...] that the network takes as they are."""
    from transfuse.source.taps import still

    total: dict[str, tuple[Tensor, int]] = {}
    handles = []
    for name, module in network.named_modules():
        if _inputs(module) in range(1, largest + 1):
            hook = partial(_add, total, f"{name}.weight" if name else "weight", rows)
            handles.append(module.register_forward_pre_hook(hook))
    try:
        with still(network), torch.no_grad():
            for batch in batches:
                network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (moments / count).cpu().numpy() for name, (moments, count) in total.items()}


def _inputs(module: nn.Module) -> int:
    """How many inputs a layer's kernel sees; 0 for what is no such layer."""
    if isinstance(module, nn.Linear):
        return module.in_features
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return module.in_channels * module.kernel_size[0] * module.kernel_size[1]
    return 0


def _add(total: dict[str, tuple[Tensor, int]], name: str, rows: int, module: nn.Module, inputs: Any) -> None:
    x = inputs[0].detach().float()
    if isinstance(module, nn.Conv2d):
        pads = module.padding if isinstance(module.padding, tuple) else (0, 0)
        patches = functional.unfold(x, module.kernel_size, module.dilation, pads, module.stride)  # pyright: ignore
        x = patches.transpose(1, 2)
    flat = x.reshape(-1, x.shape[-1])
    flat = flat[:: max(1, -(-len(flat) // rows))].double()
    moments, count = total.get(name, (0.0, 0))
    total[name] = (moments + flat.T @ flat, count + len(flat))
