"""Several heads trained as one batched computation: without this file, three learning rates of a small head would cost
three times the overhead of one, and most of a small head is overhead.

A *track* is one training: its fresh crown, rows, held rows, learning rate and seed. Tracks of one architecture, one
schedule and equally many rows go through each step together; each has its own clipping, optimiser state, best epoch and
end. What lies below the first parameter that learns is computed once for all rows (`stack_given.py`). Where the head
alone learns, its gradient is written down (`stack_linear.py`), else crowns are stacked (`stack_bodies.py`). The
result is that of `loop.fit` track by track, up to rounding (1e-5); it is not the same to the bit, so whether heads were
stacked belongs to a fit's key.

Only what is the same in every track can be stacked: the plain supervised loss of classes, cached blocks, float32, and
no dropout, whose masks would differ.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from transfuse.schedules import Schedule
from transfuse.seeds import stream
from transfuse.train.batches import in_batches as cut
from transfuse.train.fitted import Fitted
from transfuse.train.held import held_loss
from transfuse.train.loop import DivergedError, Lesson
from transfuse.train.rates import cosine
from transfuse.train.stack_bodies import BodyStack
from transfuse.train.stack_given import gathered
from transfuse.train.stack_linear import LinearStack, is_linear

Kept = Callable[[], dict[str, Tensor]]
# Wider than this, a crown that learns below its head is arithmetic, which stacking does not save.
MOST_LEARNED = 250_000


@dataclass(frozen=True)
class Track:
    """One training among several: a fresh crown and what it learns from."""

    model: nn.Module
    rows: np.ndarray
    held: np.ndarray | None
    rate: float
    seed: int


class Stack(Protocol):
    """Several networks on their way; `step` gives the mean loss of each track [M] before it learned from these rows,
    `scores` logits [N, C] of its group's held rows, `kept` a copy of what it learned by name. What has ended (not
    `going`) may be left out."""

    def step(self, chosen: Sequence[Tensor], rates: Tensor, going: Sequence[bool]) -> Tensor: ...
    def scores(self, going: Sequence[bool]) -> list[np.ndarray | None]: ...
    def kept(self, place: int) -> dict[str, Tensor]: ...


def stackable(lesson: Lesson, model: nn.Module) -> bool:
    """Whether trainings of this lesson of this network can go through their steps together."""
    schedule: Schedule = lesson.schedule
    plain = [name for name, _ in schedule.objective] == ["supervised"] and not schedule.augment and not lesson.streams
    dropping = schedule.branch_dropout or schedule.feature_dropout or schedule.monte_carlo
    quiet = not any(isinstance(part, nn.Dropout) and part.p > 0 for part in model.modules())
    usual = lesson.kind == "multiclass" and lesson.autocast is contextlib.nullcontext
    if schedule.regime != "frozen" or not (plain and quiet and usual) or dropping or schedule.average != "none":
        return False
    if is_linear(model):
        return True
    # Fused attention kernels have no batched form, statistics are kept in place, and convolutions are all arithmetic.
    known = not any(isinstance(part, (nn.MultiheadAttention, _BatchNorm, _ConvNd)) for part in model.modules())
    learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return known and learned <= MOST_LEARNED


@dataclass
class _Way:
    """How far one track has come; `lost` once its loss has stopped being a number."""

    track: Track
    result: Fitted = field(default_factory=Fitted)
    going: bool = True
    lost: bool = False

    def note(self, lesson: Lesson, epoch: int, train: float, scores: np.ndarray | None, state: Kept) -> None:
        """Take in an epoch: what it came to, whether it is the best so far, and whether it was the last."""
        result, held = self.result, None
        result.items += len(self.track.rows)
        if scores is not None and self.track.held is not None:
            held = held_loss(lesson.kind, scores, lesson.targets[self.track.held])
            result.every.append(scores)
        if not math.isfinite(train) or not math.isfinite(held or 0.0):
            self.going, self.lost = False, True
            return
        result.curve.append({"epoch": epoch, "train": train} | ({} if held is None else {"held": held}))
        if held is None or held < result.loss:
            result.epoch, result.scores, result.loss = epoch, scores, math.inf if held is None else held
            result.state = state()
        elif epoch - result.epoch >= lesson.schedule.patience:
            self.going = False

    def end(self) -> Fitted | DivergedError:
        """The training with its kept weights in its network; or that it was given up."""
        if self.lost or not all(bool(value.isfinite().all()) for value in self.result.state.values()):
            reason = f"the loss stopped being a number (learning rate {self.track.rate:g})"
            return DivergedError(reason, self.result.items)
        self.result.state = {**self.track.model.state_dict(), **self.result.state}
        self.track.model.load_state_dict(self.result.state)
        return self.result


def fit_stacked(
    lesson: Lesson, tracks: Sequence[Track], *, stop_after: int | None = None
) -> list[Fitted | DivergedError]:
    """What `fit` finds for every track; what it raises in the place of a track whose loss stopped being a number.

    Ends with each kept epoch's weights in its network. The lesson's own seed is not used.
    """
    schedule, groups = lesson.schedule, gathered(lesson, tracks)
    models: list[Any] = [track.model.eval() for track in tracks]
    made = LinearStack if all(is_linear(model) for model in models) else BodyStack
    stack: Stack = made(models, groups, schedule)
    per_epoch = sum(1 for _ in cut(tracks[0].rows, schedule.batch))
    shape, size = cosine(schedule, per_epoch), len(tracks[0].rows)
    rates = torch.tensor([track.rate for track in tracks], device=groups[0].targets.device)
    orders = [stream(tracks[group.tracks[0]].seed, "order") for group in groups]
    ways = [_Way(track) for track in tracks]
    for epoch in range(1, (stop_after or schedule.epochs) + 1):
        plans = [
            [torch.from_numpy(chosen) for chosen in cut(order.permutation(group.learn), schedule.batch)]
            for order, group in zip(orders, groups, strict=True)
        ]
        sums, going = torch.zeros_like(rates), [way.going for way in ways]
        for step, chosen in enumerate(zip(*plans, strict=True), start=(epoch - 1) * per_epoch):
            sums += stack.step(chosen, rates * shape(step), going) * len(chosen[0])
        trained, scores = (sums / size).tolist(), stack.scores(going)
        for place, way in enumerate(ways):
            if way.going:
                way.note(lesson, epoch, trained[place], scores[place], partial(stack.kept, place))
        _tell(lesson, ways, stack, epoch)
        if not any(way.going for way in ways):
            break
    return [way.end() for way in ways]


def _tell(lesson: Lesson, ways: Sequence[_Way], stack: Stack, epoch: int) -> None:
    """Tell who listens of an epoch that has ended: of the track that is ahead."""
    ahead = min(
        (place for place, way in enumerate(ways) if not way.lost), key=lambda at: ways[at].result.loss, default=0
    )
    way = ways[ahead]
    if way.lost or not way.result.curve:
        return
    point = way.result.curve[-1]
    if lesson.report is not None:
        lesson.report(epoch, point["train"], point.get("held"))
    if lesson.watch is not None and way.track.held is not None and way.going and lesson.watch.due(epoch):
        way.track.model.load_state_dict({**way.track.model.state_dict(), **stack.kept(ahead)})
        lesson.watch.during(way.track.model, epoch, way.track.held)
