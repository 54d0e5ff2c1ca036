"""Several heads trained as one batched computation: without this file, three learning rates of a small head would cost
three times the overhead of one, and most of a small head is overhead.

A *track* is one training: its fresh network, rows, held rows, learning rate and seed. Tracks of one architecture, one
schedule and equally many rows go through each step together: weights are stacked [M, ...], each track has its own
batches, clipping, optimiser state, best epoch and end. The result is that of `loop.fit` track by track, up to rounding
(1e-5); it is not the same to the bit, so whether heads were stacked belongs to a fit's key.

Only what is the same in every track can be stacked: the plain supervised loss, cached blocks, and no dropout, whose
masks would differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from transfuse.schedules import Schedule
from transfuse.seeds import stream
from transfuse.train.held import held_loss
from transfuse.train.loop import GRADIENT_NORM, SCORING_BATCH, Fitted, Lesson
from transfuse.train.loop import in_batches as cut
from transfuse.train.losses import task_loss
from transfuse.train.rates import cosine

BETAS, EPSILON = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class Track:
    """One training among several: a fresh network and what it learns from."""

    model: nn.Module
    rows: np.ndarray
    held: np.ndarray | None
    rate: float
    seed: int


def stackable(schedule: Schedule, model: nn.Module) -> bool:
    """Whether trainings by this schedule of this network can go through their steps together."""
    plain = [name for name, _ in schedule.objective] == ["supervised"] and not schedule.augment
    dropping = schedule.branch_dropout or schedule.feature_dropout or schedule.monte_carlo
    quiet = not any(isinstance(part, nn.Dropout) and part.p > 0 for part in model.modules())
    # Fused attention kernels have no batched form.
    known = not any(isinstance(part, nn.MultiheadAttention) for part in model.modules())
    return schedule.regime == "frozen" and plain and not dropping and schedule.average == "none" and quiet and known


def fit_stacked(lesson: Lesson, tracks: Sequence[Track], *, stop_after: int | None = None) -> list[Fitted | None]:
    """What `fit` finds for every track; None for a track whose loss stopped being a number.

    Ends with each kept epoch's weights in its network. The lesson's own seed is not used.
    """
    schedule, count = lesson.schedule, len(tracks)
    stack = _Stack([track.model.train() for track in tracks], schedule)
    per_epoch = sum(1 for _ in cut(tracks[0].rows, schedule.batch))
    shape = cosine(schedule, per_epoch)
    rates = torch.tensor([track.rate for track in tracks])
    orders = [stream(track.seed, "order") for track in tracks]
    found: list[Fitted | None] = [Fitted() for _ in tracks]
    going = [True] * count
    for epoch in range(1, (stop_after or schedule.epochs) + 1):
        plans = [
            list(cut(order.permutation(track.rows), schedule.batch))
            for order, track in zip(orders, tracks, strict=True)
        ]
        sums = torch.zeros(count)
        for step, rows in enumerate(zip(*plans, strict=True), start=(epoch - 1) * per_epoch):
            losses = stack.losses(lesson, rows)
            stack.learn(losses, rates * shape(step))
            sums += losses.detach().cpu() * len(rows[0])
        for place, track in enumerate(tracks):
            result = found[place]
            if result is None or not going[place]:
                continue
            result.items += len(track.rows)
            train = float(sums[place]) / len(track.rows)
            scores = None if track.held is None else stack.scores(lesson, place, track.held)
            held = (
                None
                if scores is None or track.held is None
                else held_loss(lesson.kind, scores, lesson.targets[track.held])
            )
            if not math.isfinite(train) or not math.isfinite(held or 0.0):
                found[place], going[place] = None, False
                continue
            result.curve.append({"epoch": epoch, "train": train} | ({} if held is None else {"held": held}))
            if scores is not None:
                result.every.append(scores)
            if held is None or held < result.loss:
                result.epoch, result.scores, result.loss = epoch, scores, math.inf if held is None else held
                result.state = stack.state(place)
            elif epoch - result.epoch >= schedule.patience:
                going[place] = False
        if not any(going):
            break
    for track, result in zip(tracks, found, strict=True):
        if result is not None:
            track.model.load_state_dict(result.state)
    return found


class _Stack:
    """The stacked weights of several networks, and AdamW on them with a rate for each."""

    def __init__(self, models: Sequence[nn.Module], schedule: Schedule) -> None:
        self.models, self.schedule = models, schedule
        self.weights, self.buffers = stack_module_state(list(models))  # pyright: ignore[reportArgumentType]
        self.first = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.steps = 0

    def _answers(self, blocks: list[Tensor]) -> Tensor:
        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], given: list[Tensor]) -> Tensor:
            return functional_call(self.models[0], (weights, buffers), (given,))

        return torch.vmap(one)(self.weights, self.buffers, blocks)

    def losses(self, lesson: Lesson, rows: Sequence[np.ndarray]) -> Tensor:
        """The mean loss of each track on its own rows [M]."""
        together = lesson.feed.batch(np.concatenate(rows))
        blocks = [block.reshape(len(rows), -1, *block.shape[1:]) for block in together]
        with lesson.autocast():
            answers = self._answers(blocks).float()
            wanted = torch.from_numpy(lesson.targets[np.stack(rows)])
            pairs = zip(answers, wanted, strict=True)
            return torch.stack([task_loss(lesson.kind, each, given, self.schedule.smoothing) for each, given in pairs])

    def learn(self, losses: Tensor, rates: Tensor) -> None:
        """One step of AdamW for every track, each clipped by its own norm; norms and biases do not decay."""
        named = [name for name, value in self.weights.items() if value.requires_grad]
        gradients = dict(
            zip(named, torch.autograd.grad(losses.sum(), [self.weights[name] for name in named]), strict=True)
        )
        norms = torch.stack([value.flatten(1).norm(dim=1) for value in gradients.values()]).norm(dim=0)
        scale = (GRADIENT_NORM / (norms + 1e-6)).clamp(max=1.0)
        self.steps += 1
        rates = rates.to(scale)
        corrections = [1 - beta**self.steps for beta in BETAS]
        with torch.no_grad():
            for name, gradient in gradients.items():
                wide = (-1, *[1] * (gradient.dim() - 1))
                gradient = gradient * scale.view(wide)
                value, rate = self.weights[name], rates.view(wide)
                if value.dim() > 2:
                    value.mul_(1 - rate * self.schedule.weight_decay)
                self.first[name].lerp_(gradient, 1 - BETAS[0])
                self.second[name].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                spread = (self.second[name] / corrections[1]).sqrt_().add_(EPSILON)
                value.sub_(rate * self.first[name] / corrections[0] / spread)

    def state(self, place: int) -> dict[str, Tensor]:
        """One track's tensors by name, as its network has them."""
        return {name: value[place].detach().clone() for name, value in {**self.weights, **self.buffers}.items()}

    def scores(self, lesson: Lesson, place: int, rows: np.ndarray) -> np.ndarray:
        """Logits [N, C] float32 of one track, in evaluation mode."""
        model = self.models[place].eval()
        state = self.state(place)
        with torch.no_grad(), lesson.autocast():
            parts = [
                functional_call(model, state, (lesson.feed.batch(rows[start : start + SCORING_BATCH]),)).float().cpu()
                for start in range(0, len(rows), SCORING_BATCH)
            ]
        return torch.cat(parts).numpy()
