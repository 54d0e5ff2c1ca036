"""The mean of a network's weights over its training; without this file only the last step's weights could be kept.

    ema:  w̄ ← d w̄ + (1 − d) w after every step, d = min(average_decay, (1 + t) / (10 + t)) at step t
    swa:  w̄ = plain mean of w after every step from `average_from` of all steps on

Held rows are scored, and the kept epoch is taken, with w̄ in place. BatchNorm statistics belong to other weights, so
they are computed anew over the training rows for w̄. Frozen parameters and statistics are in neither. Sources: Izmailov
et al., Averaging weights leads to wider optima, UAI 2018; Polyak, Juditsky, 1992.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from transfuse.schedules import Schedule

Refresh = Callable[[], None]


class Average:
    """The running mean of what a network trains; does nothing where the schedule asks for none."""

    def __init__(self, model: nn.Module, schedule: Schedule, steps: int) -> None:
        self.schedule = schedule
        self.begin = round(schedule.average_from * steps) if schedule.average == "swa" else 0
        self.steps = 0
        self.model = model
        self.mean: dict[str, Tensor] = {}

    def update(self) -> None:
        """After a step of the optimiser."""
        if self.schedule.average == "none":
            return
        self.steps += 1
        if self.steps <= self.begin:
            return
        seen = self.steps - self.begin
        decay = min(self.schedule.average_decay, (1 + seen) / (10 + seen))
        share = 1 / seen if self.schedule.average == "swa" else 1 - decay
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                # A parameter that wakes later has not moved before, so its mean may begin there.
                if parameter.requires_grad and parameter.is_floating_point():
                    if name in self.mean:
                        self.mean[name].lerp_(parameter, share)
                    else:
                        self.mean[name] = parameter.detach().clone()

    @contextlib.contextmanager
    def in_place(self, refresh: Refresh) -> Iterator[None]:
        """The network with the mean weights in it; `refresh` runs training rows through it. Restored at the end,
        also where `refresh` raises."""
        if not self.mean:
            yield
            return
        kept = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        try:
            with torch.no_grad():
                for name, parameter in self.model.named_parameters():
                    if name in self.mean:
                        parameter.copy_(self.mean[name])
            renew(self.model, refresh)
            yield
        finally:
            self.model.load_state_dict(kept)


def renew(model: nn.Module, refresh: Refresh) -> None:
    """Statistics of every BatchNorm that is not frozen: plain means over the batches that `refresh` runs through.
    The model is left in evaluation mode where it has any."""
    norms: list[Any] = [
        part for part in model.modules()
        if isinstance(part, _BatchNorm) and part.track_running_stats and not getattr(part, "held", False)
    ]  # fmt: skip
    if not norms:
        return
    model.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.training = True
    try:
        with torch.no_grad():
            refresh()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum, norm.training = momentum, False
