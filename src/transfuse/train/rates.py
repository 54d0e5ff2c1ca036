"""How fast each part of a network learns, and when; without this file the loop would be half arithmetic of rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from transfuse.schedules import Schedule
from transfuse.train.stages import Stages


def groups(model: nn.Module, goal: nn.Module, rate: float, schedule: Schedule, depth: Stages) -> list[dict[str, Any]]:
    """Sources learn at `member_rate` times the rate of what is new, and slower the deeper they lie; norms and biases do
    not decay, nor do sources that are pulled elsewhere."""
    pulled = any(entry.traits.get("decays_members") for entry in schedule.entries)
    found: dict[tuple[bool, bool, float], list[nn.Parameter]] = {}
    for name, parameter in [*model.named_parameters(), *goal.named_parameters()]:
        if parameter.requires_grad:
            inside = name.startswith("members.")
            kind = (inside, parameter.dim() > 1 and not (inside and pulled), depth.slowing(parameter))
            found.setdefault(kind, []).append(parameter)
    return [
        {"params": parameters, "lr": rate * slowing * (schedule.member_rate if inside else 1.0)}
        | ({} if decays else {"weight_decay": 0.0})
        for (inside, decays, slowing), parameters in found.items()
    ]


def cosine(schedule: Schedule, per_epoch: int) -> Callable[[int], float]:
    """The learning rate by step, as a share of its peak: rising over the warm-up, then a half cosine to zero."""
    steps = schedule.epochs * per_epoch
    rising = max(1, round(schedule.warmup * steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return factor
