"""AdamW by PyTorch's own fused step; without this file every process that trains would first import its compiler.

`torch.optim.AdamW` does the same, but its bookkeeping asks the compiler to stay away, and that imports the compiler:
some seconds of every process. Here only `torch.optim.adam.adam` is called, so each number is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from transfuse.train.ranks import Ranks, own

BETAS, EPSILON = (0.9, 0.999), 1e-8


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).

    Of several `ranks` each moves its share of the parameters, and all have all of them after a step; of the others it
    learns nothing.

    `param_groups` are {"params", "lr"} with a "weight_decay" of their own where they have one. `state` holds what is
    known of each parameter that has had a gradient here: `step`, `exp_avg`, `exp_avg_sq`.
    """

    def __init__(
        self, param_groups: Sequence[Mapping[str, Any]], ranks: Ranks | None = None, *, weight_decay: float
    ) -> None:
        self.param_groups = [
            {"weight_decay": weight_decay, **group, "params": list(group["params"])} for group in param_groups
        ]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}
        self.ranks = ranks or Ranks()
        # For good: what is known of a parameter stays where it is, whichever of them have a gradient.
        self._owners = self.ranks.owners(self.parameters())

    def parameters(self) -> list[nn.Parameter]:
        """All that is trained, group by group."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def take(self, other: AdamW) -> None:
        """Go on from what another knew of the same parameters, in their order, elsewhere in memory."""
        for mine, its in zip(self.parameters(), other.parameters(), strict=True):
            if its in other.state:
                self.state[mine] = other.state[its]

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Move every parameter that has a gradient, at this share of its group's rate."""
        given = {each: owner for each, owner in self._owners.items() if each.grad is not None}
        for group in self.param_groups:
            moved = [each for each in group["params"] if given.get(each) == self.ranks.rank]
            known = [self._known(parameter) for parameter in moved]
            adam(
                [own(parameter) for parameter in moved],
                [own(parameter.grad) for parameter in moved if parameter.grad is not None],
                [each["exp_avg"] for each in known],
                [each["exp_avg_sq"] for each in known],
                [],
                [each["step"] for each in known],
                fused=True,
                decoupled_weight_decay=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=group["lr"] * share,
                weight_decay=group["weight_decay"],
                eps=EPSILON,
                maximize=False,
            )
        self.ranks.share(given)

    def _known(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter not in self.state:
            held = own(parameter)
            self.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=held.device),
                "exp_avg": torch.zeros_like(held, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(held, memory_format=torch.preserve_format),
            }
        return self.state[parameter]
