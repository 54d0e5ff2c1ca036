"""Projected ascent that halves its step where it stops gaining, once by cross-entropy and once towards each near class.

Momentum 0.75; at checkpoints p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06) of 50 steps the step of an item is halved
and its search goes on from its best point, if fewer than 75 % of the steps since gained, or neither step nor best
changed. APGD-T aims at the (up to 5) most likely wrong classes by a difference-of-logits ratio, which does not vanish
where a network is very sure:  loss = −(z_y − z_t) / (z_(1) − (z_(3) + z_(4)) / 2)  with sorted logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from transfuse.conditions import Forward, RngOf
from transfuse.conditions._attack import Ball, Loss, Worst, answers, cross_entropy, gradient, needed

CITATION = "Croce, Hein, Reliable evaluation of adversarial robustness, ICML 2020"
TRAITS = {"kind": "attack", "against": True, "gradient": True, "norm": "linf", "passes": 330}
PARAMETERS = {"level": {"type": "float", "default": 0.0314, "low": 0.0, "high": 1.0, "doc": "ε, share of the range"}}
STEPS, AIMS = 50, 5
MOMENTUM, GAINING = 0.75, 0.75


def apply(
    x: Tensor,
    targets: np.ndarray,
    ids: Sequence[str],
    level: float,
    rng_of: RngOf,
    forward: Forward | None = None,
) -> Tensor:
    """The worst point of APGD-CE and, with at least four classes, of APGD-T."""
    arm, ball = needed(forward, "apgd"), Ball("linf", float(level))
    wanted = torch.from_numpy(np.asarray(targets)).to(x.device)
    worst = Worst(x)
    start = ball.start(x, ids, rng_of, 2)[1]
    _ascend(arm, ball, x, start, wanted, cross_entropy, worst)
    with torch.no_grad():
        likely = answers(arm, x).scatter(1, wanted[:, None], float("-inf")).argsort(dim=1, descending=True)
    for place in range(min(AIMS, likely.shape[1] - 1) if likely.shape[1] >= 4 else 0):
        _ascend(arm, ball, x, start, wanted, _towards(likely[:, place]), worst)
    return worst.point


def _towards(aims: Tensor) -> Loss:
    def ratio(logits: Tensor, targets: Tensor) -> Tensor:
        ordered = logits.sort(dim=1, descending=True).values
        scale = ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2
        true, aim = logits.gather(1, targets[:, None])[:, 0], logits.gather(1, aims[:, None])[:, 0]
        return -(true - aim) / (scale + 1e-12)

    return ratio


def checkpoints(steps: int) -> list[int]:
    """The steps after which a search is looked at."""
    shares, found = [0.0, 0.22], []
    while shares[-1] < 1.0:
        found.append(int(np.ceil(round(shares[-1] * steps, 6))))
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return found


@dataclass
class _Search:
    """One ascent, item by item: where it is and was, the best so far, the step, and what happened since a look."""

    point: Tensor
    before: Tensor
    best: Tensor
    best_loss: Tensor
    loss: Tensor
    step: Tensor
    gains: Tensor
    halved: Tensor
    best_then: Tensor

    def look(self, since: int) -> None:
        """Halve the step of items that stopped gaining, and let them go on from their best point."""
        stalled = ~self.halved & (self.best_then >= self.best_loss)
        self.halved = (self.gains < GAINING * since) | stalled
        self.step = torch.where(self.halved, self.step / 2, self.step)
        back = self.halved.reshape(-1, 1, 1, 1)
        self.point = torch.where(back, self.best, self.point)
        self.before = torch.where(back, self.best, self.before)
        self.gains = torch.zeros_like(self.gains)
        self.best_then = self.best_loss.clone()


def _ascend(forward: Forward, ball: Ball, x: Tensor, start: Tensor, targets: Tensor, loss: Loss, worst: Worst) -> None:
    slope, losses, logits = gradient(forward, start, targets, loss)
    worst.offer(start, logits, targets)
    full = torch.full((len(x),), 2.0 * ball.radius, device=x.device)
    none = torch.zeros(len(x), device=x.device)
    never = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    search = _Search(start, start, start, losses, losses, full, none, never, losses)
    looks, last = checkpoints(STEPS), 0
    for number in range(STEPS):
        along = search.step.reshape(-1, 1, 1, 1) * ball.direction(slope)
        ahead = ball.project(search.point + along, x)
        if number:
            drift = MOMENTUM * (ahead - search.point) + (1 - MOMENTUM) * (search.point - search.before)
            ahead = ball.project(search.point + drift, x)
        search.before, search.point = search.point, ahead
        slope, losses, logits = gradient(forward, ahead, targets, loss)
        worst.offer(ahead, logits, targets)
        search.gains = search.gains + (losses > search.loss)
        search.loss = losses
        better = losses > search.best_loss
        search.best_loss = torch.where(better, losses, search.best_loss)
        search.best = torch.where(better.reshape(-1, 1, 1, 1), ahead, search.best)
        if number + 1 in looks:
            search.look(number + 1 - last)
            last = number + 1
            slope, search.loss, _ = gradient(forward, search.point, targets, loss)
