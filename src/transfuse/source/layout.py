"""How a network's tensors lie in memory; without it narrow layers of a pruned network would write past their buffers.

Convolutions run about twice as fast where channels lie last. Of pointwise convolutions with a stride and fewer input
channels than the library's block, oneDNN's gradient in that layout writes beyond its workspace: the process dies, waits
for ever, or goes on with wrong numbers (uxlfoundation/oneDNN, issue 6035; seen with torch 2.15 on AVX2 from 2 to 7
channels). These few layers alone are run with channels first.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
# The widest block of channels that the library uses (AVX-512); AVX2 has 8.
BLOCK = 16


def laid_out(network: Network) -> Network:
    """The network as its convolutions run fastest; always so, since low bits depend on it. Changes what is given."""
    return guarded(network.to(memory_format=torch.channels_last))  # pyright: ignore[reportCallIssue]


def guarded(network: Network) -> Network:
    """The network with its narrow pointwise convolutions run with channels first. Changes what is given; twice is once.

    Values stay; whoever changes a layer's width, or the layout of weights, asks again.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and _narrow(layer):
            plain = torch.empty(layer.weight.shape, dtype=layer.weight.dtype, device=layer.weight.device)
            layer.weight.data = plain.copy_(layer.weight.data)
            if not any(hook is channels_first for hook in layer._forward_pre_hooks.values()):
                layer.register_forward_pre_hook(channels_first)
    return network


def _narrow(layer: nn.Conv2d) -> bool:
    pointwise = max(layer.kernel_size) == 1 and layer.groups == 1
    return pointwise and max(layer.stride) > 1 and layer.in_channels < BLOCK


def channels_first(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """The layer's input [N, C, H, W] with rows of one channel side by side."""
    return (given[0].contiguous(), *given[1:])
