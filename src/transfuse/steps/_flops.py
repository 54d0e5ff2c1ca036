"""FLOPs of what runs inside a `with` block, 2 per multiply-add; without this file costs of three kinds would be wrong.

PyTorch's formulas are used, with what its own `FlopCounterMode` lacks: the gradient of a grouped convolution costs what
its groups cost, not all channels times all; attention is counted when it runs fused, as it does in evaluation; and
nothing here imports PyTorch's compiler, which would take some seconds of every process that counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from transfuse.source.foreign import noting


@contextmanager
def counting() -> Iterator[FlopCounter]:
    """Counts what runs inside; a whole attention layer in one fused kernel has no formula, so its parts run instead."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounter() as counter, noting(counter.add):
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


class FlopCounter(TorchDispatchMode):
    """`total` is the FLOPs of all operations that have a formula; others are taken apart, or free."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def add(self, flops: int) -> None:
        """Count what another runtime computes."""
        self.total += flops

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        formula = FORMULAS.get(func._overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **named)
            return func(*args, **named) if parts is NotImplemented else parts
        out = func(*args, **named)
        self.total += formula(*args, **named, out_val=out)
        return out


def convolution_backward(out: Tensor, x: Tensor, weight: Tensor, *rest: Any, out_val: Any) -> int:
    """Each gradient asked for, of the input and of the weights, costs what the forward pass does.

    2 N |places| |weight|, the weights [c_out, c_in / groups, *kernel] used at every place of the output [N, c_out, *S]
    (of the input, where the convolution is transposed).
    """
    transposed, asked = rest[4], rest[7]
    places = math.prod((x if transposed else out).shape[2:])
    return 2 * len(x) * places * weight.numel() * (bool(asked[0]) + bool(asked[1]))


FORMULAS = {**flop_registry, torch.ops.aten.convolution_backward: convolution_backward}
