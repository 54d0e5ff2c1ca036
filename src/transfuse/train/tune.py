"""Choosing a training's learning rate and length on rows apart, and fitting the final model by that choice.

Locked: one fit, the held rows choose rate and epoch, and that fitted model is final.
Cross-fitted: every inner fold is fitted; the rate and epoch with the lowest loss over all inner held rows are chosen,
and the final model is fitted to all training rows for that many epochs. The inner held scores cover every training row.
Where settings are searched for (`study.py`), a trial stands in the place of a rate.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import nn

from transfuse.train.fitted import Fitted
from transfuse.train.health import Health
from transfuse.train.health import mean as mean_health
from transfuse.train.loop import DivergedError, Lesson, fit
from transfuse.train.stack import Track, fit_stacked, stackable
from transfuse.train.study import Choose, Forgetful, Memory, study

Builder = Callable[[np.ndarray], nn.Module]
Attempt = tuple[nn.Module, Fitted] | DivergedError


@dataclass(frozen=True)
class Rows:
    """What one run trains and chooses on: `fits` are (fit, held) pairs, `train` the rows of the final model."""

    fits: Sequence[tuple[np.ndarray, np.ndarray]]
    train: np.ndarray
    final_fit: bool


@dataclass(frozen=True)
class Tuned:
    """The final model, with the scores on the held rows that chose it and what it took: `items` gone through in all
    trials and inner folds, given up or not, of which `remembered` were before this process went on with a study.

    `curve` tells every epoch of the training that was kept: mean loss on its rows (`train`), loss and accuracy on the
    held rows (`held`, `accuracy`); under cross-fitting these are means over the inner folds. So is `health`, of the
    branches where training watched them.
    """

    model: nn.Module
    rate: float
    epoch: int
    held: np.ndarray
    held_scores: np.ndarray
    curve: list[dict[str, float]]
    trials: int
    items: int
    health: Health | None = None
    values: dict[str, float] | None = None
    remembered: int = 0


@dataclass(frozen=True)
class Training:
    """A lesson, and how to make a fresh network settled on the rows it will learn from.

    `choose` and `memory` belong to schedules whose settings are searched for.
    """

    build: Builder
    lesson: Lesson
    choose: Choose | None = None
    memory: Memory = field(default_factory=Forgetful)

    def run(
        self, rows: np.ndarray, held: np.ndarray | None, rate: float, stop_after: int | None = None
    ) -> tuple[nn.Module, Fitted]:
        """A fresh network fitted to these rows."""
        model = self.build(rows)
        if not (self.lesson.schedule.stack and stackable(self.lesson, model)):
            return model, fit(self.lesson, model, rows, held=held, rate=rate, stop_after=stop_after)
        track = Track(model, rows, held, rate, self.lesson.seed)
        (fitted,) = fit_stacked(self.lesson, [track], stop_after=stop_after)
        if isinstance(fitted, DivergedError):
            raise fitted
        return model, fitted

    def attempts(self, rows: np.ndarray, held: np.ndarray) -> dict[float, Attempt]:
        """A training at each rate of the schedule, or how it was given up; together where the schedule says so."""
        rates = self.lesson.schedule.rates
        if self.lesson.schedule.stack and stackable(self.lesson, first := self.build(rows)):
            return self._together(rows, held, first)
        found: dict[float, Attempt] = {}
        for rate in rates:
            try:
                found[rate] = self.run(rows, held, rate)
            except DivergedError as error:
                found[rate] = error
        return found

    def health(self, model: nn.Module, fitted: Fitted, held: np.ndarray) -> Health | None:
        """How the branches of a kept network fare, where training watches them."""
        watch = self.lesson.watch
        return fitted.health if fitted.health is not None or watch is None else watch.after(model, held)

    def _together(self, rows: np.ndarray, held: np.ndarray, first: nn.Module) -> dict[float, Attempt]:
        rates, lesson = self.lesson.schedule.rates, self.lesson
        models = [first, *(copy.deepcopy(first) for _ in rates[1:])]
        tracks = [Track(model, rows, held, rate, lesson.seed) for model, rate in zip(models, rates, strict=True)]
        return {
            track.rate: fitted if isinstance(fitted, DivergedError) else (track.model, fitted)
            for track, fitted in zip(tracks, fit_stacked(lesson, tracks), strict=True)
        }


def tune(training: Training, rows: Rows) -> Tuned:
    """Try every rate of the schedule; a rate that diverges loses, and only if all do is the arm given up."""
    lasting = training.lesson.schedule.lasting(len(rows.fits[0][0]))
    training = replace(training, lesson=replace(training.lesson, schedule=lasting))
    if lasting.trials:
        return _searched(training, rows)
    if rows.final_fit:
        return _crossfit(training, rows)
    (fit_rows, held), best, best_model, items, reason = rows.fits[0], None, None, 0, ""
    best_rate = training.lesson.schedule.rates[0]
    for rate, attempt in training.attempts(fit_rows, held).items():
        items += _items(attempt)
        if isinstance(attempt, DivergedError):
            reason = str(attempt)
            continue
        model, fitted = attempt
        if best is None or fitted.loss < best.loss:
            best, best_model, best_rate = fitted, model, rate
    if best is None or best_model is None or best.scores is None:
        raise DivergedError(reason, items)
    curve = _told(training.lesson, [best], [held])
    trials = len(training.lesson.schedule.rates)
    health = training.health(best_model, best, held)
    return Tuned(best_model, best_rate, best.epoch, held, best.scores, curve, trials, items, health)


def _searched(training: Training, rows: Rows) -> Tuned:
    """The study, then the best of its trials once more: alike to the bit, and with it all that a tuning gives."""
    if training.choose is None:
        raise ValueError("a schedule with trials needs a chooser")

    def loss(tried: Training, rate: float) -> tuple[float, int]:
        once = replace(tried, lesson=replace(tried.lesson, schedule=replace(tried.lesson.schedule, rates=(rate,))))
        folds: list[Fitted] = []
        try:
            for fit_rows, held in rows.fits:
                folds.append(once.run(fit_rows, held, rate)[1])  # noqa: PERF401 - those before one that diverges count
        except DivergedError as error:
            return math.inf, sum(fold.items for fold in folds) + error.items
        told = _told(once.lesson, folds, [held for _, held in rows.fits])
        return min(point["held"] for point in told), sum(fold.items for fold in folds)

    found = study(training, training.choose, training.memory, loss)
    if found is None:
        raise DivergedError("the loss stopped being a number in every trial")
    plan = replace(found.schedule, rates=(found.rate,), trials=0)
    best = tune(replace(training, lesson=replace(training.lesson, schedule=plan)), rows)
    # The best trial was trained once more, and that is counted too.
    items = found.items + best.items
    return replace(best, trials=found.trials, items=items, values=found.values, remembered=found.remembered)


def _crossfit(training: Training, rows: Rows) -> Tuned:
    best: tuple[float, float, int, list[tuple[nn.Module, Fitted]]] | None = None
    reason = ""
    tried = [training.attempts(fit_rows, held) for fit_rows, held in rows.fits]
    items = sum(_items(attempt) for each in tried for attempt in each.values())
    for rate in training.lesson.schedule.rates:
        failed = [attempt for each in tried if isinstance(attempt := each[rate], DivergedError)]
        if failed:
            reason = str(failed[0])
            continue
        pairs = [attempt for each in tried if not isinstance(attempt := each[rate], DivergedError)]
        folds = [fitted for _, fitted in pairs]
        losses = [point["held"] for point in _told(training.lesson, folds, [held for _, held in rows.fits])]
        epoch = int(np.argmin(losses)) + 1
        if best is None or losses[epoch - 1] < best[0]:
            best = (losses[epoch - 1], rate, epoch, pairs)
    if best is None:
        raise DivergedError(reason, items)
    _, rate, epoch, pairs = best
    folds = [fitted for _, fitted in pairs]
    model, final = training.run(rows.train, None, rate, stop_after=epoch)
    held = np.concatenate([held for _, held in rows.fits])
    scores = np.concatenate([fold.every[epoch - 1] for fold in folds])
    curve = _told(training.lesson, folds, [held for _, held in rows.fits])
    looked = [training.health(*pair, held) for pair, (_, held) in zip(pairs, rows.fits, strict=True)]
    seen = [health for health in looked if health is not None]
    health, trials = mean_health(seen) if seen else None, len(training.lesson.schedule.rates)
    return Tuned(model, rate, epoch, held, scores, curve, trials, items + final.items, health)


def _items(attempt: Attempt) -> int:
    """The items that a training went through, kept or given up."""
    return attempt.items if isinstance(attempt, DivergedError) else attempt[1].items


def _told(lesson: Lesson, folds: Sequence[Fitted], helds: Sequence[np.ndarray]) -> list[dict[str, float]]:
    """The epochs that all folds reached: means over folds, weighted by their held rows; accuracy of classes only."""
    sizes = np.array([len(held) for held in helds], dtype=np.float64)

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=sizes))

    told = []
    for epoch in range(min(len(fold.every) for fold in folds)):
        pairs = [(fold.every[epoch], lesson.targets[held]) for fold, held in zip(folds, helds, strict=True)]
        names = [name for name in folds[0].curve[epoch] if name.startswith("train")]
        point = {
            "epoch": epoch + 1,
            **{name: mean([fold.curve[epoch][name] for fold in folds]) for name in names},
            "held": mean([fold.curve[epoch]["held"] for fold in folds]),
        }
        if lesson.targets.ndim == 1 and np.issubdtype(lesson.targets.dtype, np.integer):
            point["accuracy"] = mean([float((scores.argmax(1) == targets).mean()) for scores, targets in pairs])
        told.append(point)
    return told
