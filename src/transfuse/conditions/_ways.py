"""What an attack climbs where an arm lends no gradient, or answers by chance; without it such arms would look strong.

`Guided` asks the arm and climbs another function near it: gradients of the guide, answers of the arm (the backward pass
that differs from the forward one of Athalye, Carlini, Wagner, ICML 2018). `Expected` climbs the mean of an arm that
answers otherwise each time (expectation over its randomness; Athalye et al., ICML 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from transfuse.conditions import Forward
from transfuse.seeds import integer

DRAWS = 16
# Two answers of a network without chance may differ by rounding.
RELATIVE, ABSOLUTE = 1e-3, 1e-4


@dataclass(frozen=True)
class Guided:
    """`forward` gives an arm's own answers [n, C]; gradients are those of `guide` [n, C]."""

    forward: Forward
    guide: Forward

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)


@dataclass(frozen=True)
class Expected:
    """log of the mean class probabilities [n, C] over `draws` answers of a random arm; every call draws anew.

    The k-th draw of an attack is always the same, and the process's own random state stays as it is.
    """

    forward: Forward
    draws: int = DRAWS
    number: count[int] = field(default_factory=count)

    def __call__(self, x: Tensor) -> Tensor:
        found = [seeded(self.forward, x, "expected", next(self.number)).log_softmax(dim=1) for _ in range(self.draws)]
        return torch.logsumexp(torch.stack(found), dim=0) - torch.log(torch.tensor(float(self.draws)))


def seeded(forward: Callable[[Tensor], Tensor], x: Tensor, *names: str | int) -> Tensor:
    """One answer, with whatever chance it takes drawn from the stream of these names."""
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(integer("attack", *names))
        return forward(x)


def by_chance(forward: Forward, x: Tensor) -> bool:
    """Whether an arm answers the same canvases [n, 3, S, S] otherwise when it is asked again."""
    with torch.no_grad():
        one, other = (seeded(forward, x, "asked", time) for time in range(2))
    return not torch.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE)
