"""One metric from its shelf, with its facts beside its functions; without it each caller would read traits by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from transfuse import registry
from transfuse.errors import UserError
from transfuse.evaluation import functions
from transfuse.evaluation.sums import sums_of
from transfuse.given import is_pointer
from transfuse.types import Direction

SHELF = "evaluation/metrics"
# What is in whatever unit the user has: predicted numbers, and scores of anything.
OWN_UNIT = ("values", "scores")
Weighted = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _no_columns(*_: np.ndarray) -> np.ndarray:
    raise TypeError("this metric is no function of sums over items")


@dataclass(frozen=True)
class Metric:
    """A metric: `columns` and `finish` follow `evaluation/metrics`; its values lie between `low` and `high`.

    One that is an `item_mean` has an item's value and 1 as its columns. One that is no function of sums has `weighted`
    in their place, and perhaps its own number of `resamples`. One that `takes` ranks is asked of the scores before a
    temperature that is not the same for all rows of a run. `kinds` are the kinds of task it holds for.
    """

    name: str
    direction: Direction
    unit: str
    low: float | None
    high: float | None
    takes: Literal["probabilities", "scores", "values", "ranks"]
    columns: Callable[[np.ndarray, np.ndarray], np.ndarray] = _no_columns
    finish: Callable[[np.ndarray], np.ndarray] = _no_columns
    item_mean: bool = False
    kinds: tuple[str, ...] = ("multiclass",)
    weighted: Weighted | None = None
    resamples: int | None = None

    @property
    def size(self) -> float:
        """How large its values count for at least, where rounding is told from variation: shares and nats are rounded
        beside 1, but numbers in a unit of the user's may all be small."""
        return 0.0 if self.high is None and (self.takes in OWN_UNIT or self.weighted is not None) else 1.0

    def possible(self, difference: float) -> float:
        """A difference of two values, clipped to what is possible: no accuracy lies 150 points below another."""
        if self.low is None or self.high is None:
            return difference
        reach = self.high - self.low
        return min(max(difference, -reach), reach)

    def run_columns(self, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
        """The columns of each run. [N], [k, N, C] -> [k, N, q]."""
        return np.stack([self.columns(targets, run) for run in probs])

    def values(self, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
        """The metric of each run. [N], [k, N, C] -> [k]."""
        if self.weighted is not None:
            whole = np.ones((1, len(targets)))
            return np.array([float(self.weighted(targets, run, whole)[0]) for run in probs])
        return np.array([float(self.finish(self.columns(targets, run).sum(axis=0))) for run in probs])


@dataclass(frozen=True)
class Surroundings:
    """Where users' own metrics are found: in a folder, by their pointers, or given by name."""

    folder: Path
    given: Mapping[str, Metric]


_around: ContextVar[Surroundings | None] = ContextVar("metrics", default=None)


@contextmanager
def metrics_from(folder: Path | None = None, given: Mapping[str, Any] | None = None) -> Iterator[dict[str, Metric]]:
    """For a while, pointers are looked for in this folder, and these functions are metrics by these names.

    `given`: {name: function} with an attribute `direction`, or {name: (function, direction)}.
    """
    made = {name: _of_function(name, found) for name, found in (given or {}).items()}
    token = _around.set(Surroundings(folder or Path.cwd(), made))
    try:
        yield made
    finally:
        _around.reset(token)


def _of_function(name: str, found: Any) -> Metric:
    if name in registry.shelf(SHELF) or is_pointer(name):
        raise UserError(f"a metric of your own cannot be called '{name}'", hint="choose another name")
    function, options = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    return Metric(**functions.fields(name, function, {} if options is None else {"direction": str(options)}))


def metric(name: str) -> Metric:
    """The metric of that name: of the shelf, given by name, or `pkg.module:function`; an unknown one is an error that
    offers the nearest."""
    around = _around.get()
    if around is not None and name in around.given:
        return around.given[name]
    if is_pointer(name):
        return Metric(**functions.described(name, around.folder if around is not None else Path.cwd()))
    return _of_shelf(name)


@functools.cache
def _of_shelf(name: str) -> Metric:
    entry = registry.find(SHELF, name)
    module = entry.load()
    return Metric(
        name=name,
        direction=entry.traits["direction"],
        unit=entry.traits["unit"],
        low=entry.traits["low"],
        high=entry.traits["high"],
        takes=entry.traits["takes"],
        kinds=registry.kinds_of(entry),
        weighted=getattr(module, "weighted", None),
        **(sums_of(module) or {}),
    )
