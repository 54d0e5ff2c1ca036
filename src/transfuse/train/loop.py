"""The training loop, top to bottom: everything that is trained here is trained by these lines."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.schedules import Schedule
from transfuse.seeds import integer, stream
from transfuse.train import averaging, stages
from transfuse.train.adamw import AdamW
from transfuse.train.augment import Augmenting
from transfuse.train.batches import SETTLING_ROWS, TRAIN, Batch, Stream, in_batches, slices, spread_evenly
from transfuse.train.feed import Feed
from transfuse.train.fitted import Fitted
from transfuse.train.health import Watch
from transfuse.train.held import held_loss, spread_of
from transfuse.train.objectives import About, DivergedError, Objective, objective, total
from transfuse.train.past import PastOf, go_on, unknown
from transfuse.train.ranks import Ranks, own
from transfuse.train.rates import cosine, groups
from transfuse.types import TaskKind

# Rows that go through a network at once without learning, and the most numbers of its inputs: 256 images of 96 pixels
# would take gigabytes on their way through a convolutional network.
SCORING_BATCH, SCORING_NUMBERS = 256, 1 << 21
GRADIENT_NORM = 5.0

Forward = Callable[[list[Tensor]], Tensor]
Report = Callable[[int, float, float | None], None]


@dataclass(frozen=True)
class Lesson:
    """What trainings of one arm have in common: batches, targets [all rows of the data], schedule and seed.

    `forward(model)` says how the model takes a batch of the feed: a `Learner`, or for plain training any callable.
    `classes` is how many there are, for targets that are mixed. `beside` are feeds joined to the labelled rows,
    `streams` further rows that each step draws as many of; `report` hears of every epoch, `watch` looks at branches,
    `past` gives what an earlier optimiser knew of a network's parameters. What is too large for memory lies in
    `scratch`.
    """

    forward: Callable[[nn.Module], Forward]
    feed: Feed
    targets: np.ndarray
    schedule: Schedule
    seed: int
    autocast: Callable[[], Any] = contextlib.nullcontext
    report: Report | None = None
    kind: TaskKind = "multiclass"
    classes: int = 0
    beside: Mapping[str, Feed] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
    watch: Watch | None = None
    past: PastOf = unknown
    scratch: Path | None = None
    ranks: Ranks = Ranks()

    def batch(self, rows: np.ndarray) -> Batch:
        """The labelled batch of these rows."""
        return Stream(self.feed, rows, self.targets, self.beside).batch(rows)


def fit(
    lesson: Lesson,
    model: nn.Module,
    rows: np.ndarray,
    *,
    held: np.ndarray | None,
    rate: float,
    stop_after: int | None = None,
) -> Fitted:
    """Train `model` on `rows`; keep the epoch that is best on `held`, or the last one when there are no held rows.

    `stop_after` ends early on the same schedule, which is how the final model repeats what inner folds found best.
    Ends with the kept epoch's weights in place. Raises DivergedError, with the items gone through,
    when the loss, or a weight, stops being a number.
    """
    result = Fitted()
    try:
        with lesson.ranks.divided(model):
            _train(result, lesson, model, rows, held, rate, stop_after)
    except DivergedError as error:
        # It is told from sums over all ranks, so all of them are here.
        error.items += int(lesson.ranks.summed({"items": result.items})["items"])
        raise
    result.health = None if lesson.watch is None or held is None else lesson.watch.after(model, held)
    return result


def _train(
    result: Fitted,
    lesson: Lesson,
    model: nn.Module,
    rows: np.ndarray,
    held: np.ndarray | None,
    rate: float,
    stop_after: int | None,
) -> None:
    """`fit` on whole or divided weights; `result` says how far it came, also where it is given up."""
    schedule, forward = lesson.schedule, lesson.forward(model)
    goal = _objective(lesson, model, forward, rows)
    rows = goal.keep(rows, stream(lesson.seed, "keep"))
    depth = stages.Stages(model, schedule)
    optimiser = AdamW(groups(model, goal, rate, schedule, depth), lesson.ranks, weight_decay=schedule.weight_decay)
    go_on(optimiser, lesson.past(model))
    per_epoch = sum(1 for _ in in_batches(rows, schedule.batch))
    average = averaging.Average(model, schedule, per_epoch * schedule.epochs)
    share = cosine(schedule, per_epoch)
    given = _given(lesson, rows, lesson.streams if goal.listens else {})
    with torch.random.fork_rng(devices=_accelerators(model)):
        torch.manual_seed(integer(lesson.seed, "dropout"))
        for epoch in range(1, (stop_after or schedule.epochs) + 1):
            depth.thaw(epoch)
            model.train()
            lesson.ranks.check(schedule, model, rows)
            told: dict[str, float] = {}
            for step in range((epoch - 1) * per_epoch, epoch * per_epoch):
                batches = next(given)
                with lesson.autocast():
                    losses = goal(forward, batches)
                    loss = total(losses, goal.weights(step / (per_epoch * schedule.epochs)))
                optimiser.zero_grad()
                _backward(lesson, loss, [*model.parameters(), *goal.parameters()], len(batches[TRAIN].rows))
                optimiser.step(share(step))
                average.update()
                _tell(told, loss, losses, len(batches[TRAIN].rows))
                result.items += sum(len(each.rows) for each in batches.values()) + goal.further(
                    len(batches[TRAIN].rows)
                )
            means = _means(lesson, told, len(rows), epoch, rate)
            with average.in_place(lambda: _pass(lesson, model, rows)):
                scores, loss_held = _scored(lesson, model, held)
                _check(loss_held or 0.0, "held", epoch, rate)
                if better := loss_held is None or loss_held < result.loss:
                    result.keep(model, epoch, scores, loss_held)
                _report(lesson, model, held, {"epoch": epoch, "train": means["train"], "held": loss_held})
            result.note({"epoch": epoch} | means | ({} if loss_held is None else {"held": loss_held}), scores)
            goal.after(epoch, lambda asked: _measured(lesson, model, goal, asked))
            if not better and epoch - result.epoch >= schedule.patience:
                break
    result.put_back(model)
    broken = sum(not bool(own(value).isfinite().all()) for value in result.state.values())
    if lesson.ranks.summed({"broken": broken})["broken"]:
        raise DivergedError(f"a weight stopped being a number by epoch {result.epoch} (learning rate {rate:g})")
    result.items = int(lesson.ranks.summed({"items": result.items})["items"]) + _finish(goal, forward, lesson)


def _means(lesson: Lesson, told: Mapping[str, float], rows: int, epoch: int, rate: float) -> dict[str, float]:
    """Each loss per row, over all ranks. Raises DivergedError where the whole is no number."""
    means = {name: value / rows for name, value in lesson.ranks.summed(told).items()}
    _check(means["train"], "training", epoch, rate)
    return means


def _backward(lesson: Lesson, loss: Tensor, learned: list[nn.Parameter], rows: int) -> None:
    """Gradients of all that learns, over all ranks, of a bounded length."""
    lesson.ranks.weighed(loss, rows).backward()
    lesson.ranks.join(learned)
    lesson.ranks.shorten(learned, GRADIENT_NORM)


def _finish(goal: Objective, forward: Any, lesson: Lesson) -> int:
    """The objective's last look at the streams, with the kept weights in place; the rows it learned from."""
    return goal.finish(forward, {name: each.some(lesson.schedule.batch) for name, each in lesson.streams.items()})


def _scored(lesson: Lesson, model: nn.Module, held: np.ndarray | None) -> tuple[np.ndarray | None, float | None]:
    """Scores of the held rows and their loss, where there are such rows."""
    if held is None:
        return None, None
    scores = score(lesson, model, held)
    return scores, held_loss(lesson.kind, scores, lesson.targets[held])


def _report(lesson: Lesson, model: nn.Module, held: np.ndarray | None, point: Mapping[str, Any]) -> None:
    """Tell who listens of an epoch that has ended."""
    if lesson.report is not None:
        lesson.report(point["epoch"], point["train"], point["held"])
    if lesson.watch is not None and held is not None:
        lesson.watch.during(model, point["epoch"], held)


def _pass(lesson: Lesson, model: nn.Module, rows: np.ndarray) -> None:
    """Run these rows through the network, for what it keeps count of."""
    forward = lesson.forward(model)
    for chosen in in_batches(np.sort(rows), lesson.schedule.batch):
        forward(lesson.feed.batch(chosen))


def _measured(lesson: Lesson, model: nn.Module, goal: Objective, rows: np.ndarray) -> dict[str, float]:
    """The objective's losses of these rows, by name, in evaluation mode."""
    model.eval()
    forward, sums = lesson.forward(model), {}
    with torch.no_grad(), lesson.autocast():
        for chosen in slices(rows, _scoring(lesson.feed, rows)):
            for name, loss in goal(forward, {TRAIN: lesson.batch(chosen)}).items():
                sums[name] = sums.get(name, 0.0) + float(loss) * len(chosen)
    return {name: value / len(rows) for name, value in sums.items()}


def _objective(lesson: Lesson, model: nn.Module, forward: Any, rows: np.ndarray) -> Objective:
    """What the schedule strives for, made for this network; what it draws at its start, it draws from the seed.

    Of a regression every target counts in units of its own spread over the training rows.
    """
    spread = torch.from_numpy(spread_of(lesson.targets[rows])) if lesson.kind == "regression" else None
    said = {name: feed.batch(rows) for name, feed in lesson.beside.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(lesson.seed, "objective"))
        about = About(lesson.kind, lesson.schedule.smoothing, forward, spread, said)
        goal = objective(lesson.schedule.objective, about)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    return goal.to(device).train()


def _given(lesson: Lesson, rows: np.ndarray, streams: Mapping[str, Stream]) -> Iterator[dict[str, Batch]]:
    """The batches of every step, epoch after epoch; the labelled ones augmented, as many rows of each other stream."""
    schedule, order, draws = lesson.schedule, stream(lesson.seed, "order"), stream(lesson.seed, "augment")
    others = {
        name: each.endless(min(schedule.batch, len(rows)), lesson.seed, "order", name) for name, each in streams.items()
    }
    augmented = Augmenting(schedule.augment, lesson.classes, lambda: lesson.batch(rows))
    while True:
        for chosen in in_batches(order.permutation(rows), schedule.batch):
            batch = augmented(lesson.batch(lesson.ranks.part(chosen)), draws)
            yield {TRAIN: batch, **{name: next(each) for name, each in others.items()}}


def _tell(told: dict[str, float], loss: Tensor, losses: Mapping[str, Tensor], count: int) -> None:
    """Add one step to the sums of an epoch: `train`, and each loss by name where there are several."""
    named = {f"{TRAIN}:{name}": value for name, value in losses.items()} if len(losses) > 1 else {}
    for name, value in {TRAIN: loss, **named}.items():
        told[name] = told.get(name, 0.0) + float(value.detach()) * count


def score(lesson: Lesson, model: nn.Module, rows: np.ndarray) -> np.ndarray:
    """Logits [N, C] float32 for these rows, in evaluation mode."""
    model.eval()
    forward = lesson.forward(model)
    with torch.no_grad(), lesson.autocast():
        size = _scoring(lesson.feed, rows)
        parts = [forward(lesson.feed.batch(chosen)).float().cpu().numpy() for chosen in slices(rows, size)]
    return np.concatenate(parts)


def _scoring(feed: Feed, rows: np.ndarray) -> int:
    """How many rows go through at once, from the size of one."""
    numbers = sum(block.numel() for block in feed.batch(rows[:1])) if len(rows) else 1
    return max(1, min(SCORING_BATCH, SCORING_NUMBERS // max(numbers, 1)))


def settle(
    crown: Any,
    blocks: Callable[[list[Tensor]], list[Tensor]],
    feed: Feed,
    rows: np.ndarray,
    targets: np.ndarray | None = None,
) -> None:
    """Give a crown what it computes from these rows' blocks beforehand: its joints' statistics, and what its method
    fits in closed form. At most a few thousand rows, spread evenly; `targets` are those of all rows of the data."""
    if not getattr(crown, "settles", True):
        return
    chosen = spread_evenly(rows, SETTLING_ROWS)
    with torch.no_grad():
        parts = [blocks(feed.batch(part)) for part in slices(chosen, _scoring(feed, chosen))]
        joined = [torch.cat(column) for column in zip(*parts, strict=True)]
        known = None if targets is None else torch.from_numpy(targets[chosen]).to(joined[0].device)
        crown.settle(joined, known)


def _check(loss: float, which: str, epoch: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise DivergedError(f"the {which} loss became {loss} in epoch {epoch} (learning rate {rate:g})")


def _accelerators(model: nn.Module) -> list[torch.device]:
    """The devices whose random state training uses beside the CPU's, to be given back as it was."""
    return list({parameter.device for parameter in model.parameters() if parameter.device.type == "cuda"})
