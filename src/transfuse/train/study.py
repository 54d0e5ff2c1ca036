"""Settings of a training, searched for by a model of the trials so far; without it three rates would be all.

A schedule with `trials` has a `space`: from where to where its rate and other numbers may lie. A chooser of the shelf
`choose` proposes, the loss on held rows answers; the first trial is the schedule as it stands. Trials are kept one by
one in a memory: a study that was interrupted proposes the same again, and what was tried is not trained twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from transfuse.schedules import RATE, Schedule, in_logs

if TYPE_CHECKING:
    from transfuse.train.tune import Training

Values = dict[str, float]
Space = Mapping[str, tuple[float, float]]
# `choose(space, score, budget, first) -> values`: the chooser with its random stream already in its hands.
Choose = Callable[[Space, Callable[[Mapping[str, float]], float], int, Values], Values]


class Memory(Protocol):
    """Where trials are kept: by their number, and what was tried."""

    def recall(self, number: int, values: Mapping[str, float]) -> dict[str, Any] | None: ...
    def keep(self, number: int, values: Mapping[str, float], facts: Mapping[str, Any]) -> None: ...


@dataclass
class Forgetful:
    """A memory of this process alone."""

    held: dict[str, dict[str, Any]] = field(default_factory=dict)

    def recall(self, number: int, values: Mapping[str, float]) -> dict[str, Any] | None:
        return self.held.get(f"{number} {dict(values)}")

    def keep(self, number: int, values: Mapping[str, float], facts: Mapping[str, Any]) -> None:
        self.held[f"{number} {dict(values)}"] = dict(facts)


@dataclass(frozen=True)
class Tried:
    """What a study came to: the schedule and rate with the lowest loss, all values, items gone through, how many of
    them before this study went on, and trials."""

    schedule: Schedule
    rate: float
    values: Values
    items: int
    remembered: int
    trials: int


def study(
    training: Training, choose: Choose, memory: Memory, loss: Callable[[Training, float], tuple[float, int]]
) -> Tried | None:
    """Try as often as the schedule says; `loss(training, rate)` gives a trial's held loss, infinite where it
    diverged, and the items it took either way.

    None where every trial diverged. A trial that is remembered counts as if it were made now.
    """
    plan = training.lesson.schedule
    space = {name: _bounds(name, low, high) for name, low, high in plan.space}
    first = {
        name: min(max(_coded(name, value), space[name][0]), space[name][1]) for name, value in starts(plan).items()
    }
    found: list[tuple[float, int, Values, int]] = []
    remembered = 0

    def score(coded: Mapping[str, float]) -> float:
        nonlocal remembered
        number, values = len(found), {name: _decoded(name, coded[name]) for name in space}
        facts = memory.recall(number, values)
        if facts is None:
            lost, items = loss(changed(training, values), values.get(RATE, plan.rates[0]))
            facts = {"loss": lost if math.isfinite(lost) else None, "items": items}
            memory.keep(number, values, facts)
        else:
            remembered += int(facts["items"])
        lost = math.inf if facts["loss"] is None else float(facts["loss"])
        found.append((lost, number, values, int(facts["items"])))
        return lost

    choose(space, score, plan.trials, first)
    best = min(found, key=lambda trial: trial[:2])
    if not math.isfinite(best[0]):
        return None
    made = changed(training, best[2]).lesson.schedule
    items = sum(trial[3] for trial in found)
    return Tried(made, best[2].get(RATE, plan.rates[0]), best[2], items, remembered, len(found))


def changed(training: Training, values: Mapping[str, float]) -> Training:
    """The same training with these settings."""
    settings = {name: value for name, value in values.items() if name != RATE}
    return replace(training, lesson=replace(training.lesson, schedule=replace(training.lesson.schedule, **settings)))


def starts(plan: Schedule) -> Values:
    """Where a study starts: the schedule's own values, of its rates the one in the middle."""
    middle = float(np.exp(np.mean(np.log(plan.rates))))
    return {name: middle if name == RATE else float(getattr(plan, name)) for name, _, _ in plan.space}


def _bounds(name: str, low: float, high: float) -> tuple[float, float]:
    return _coded(name, low), _coded(name, high)


def _coded(name: str, value: float) -> float:
    """Settings of size are searched in logs."""
    return math.log(max(value, 1e-300)) if in_logs(name) else float(value)


def _decoded(name: str, value: float) -> float:
    """Rounded, so that what is kept and what is tried are the same number."""
    return float(f"{math.exp(value) if in_logs(name) else value:.6g}")
