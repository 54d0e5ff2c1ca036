"""One metric from its shelf, with its facts beside its functions; without it each caller would read traits by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transfuse import registry
from transfuse.types import Direction

SHELF = "evaluation/metrics"


@dataclass(frozen=True)
class Metric:
    """A metric: `columns` and `finish` follow `evaluation/metrics`; its values lie between `low` and `high`."""

    name: str
    direction: Direction
    unit: str
    item_mean: bool
    low: float | None
    high: float | None
    takes: Literal["probabilities", "scores"]
    columns: Callable[[np.ndarray, np.ndarray], np.ndarray]
    finish: Callable[[np.ndarray], np.ndarray]

    def run_columns(self, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
        """The columns of each run. [N], [k, N, C] -> [k, N, q]."""
        return np.stack([self.columns(targets, run) for run in probs])

    def values(self, targets: np.ndarray, probs: np.ndarray) -> np.ndarray:
        """The metric of each run. [N], [k, N, C] -> [k]."""
        return np.array([float(self.finish(self.columns(targets, run).sum(axis=0))) for run in probs])


@functools.cache
def metric(name: str) -> Metric:
    """The metric of that name; an unknown one is an error that offers the nearest."""
    entry = registry.find(SHELF, name)
    module = entry.load()
    return Metric(
        name=name,
        direction=entry.traits["direction"],
        unit=entry.traits["unit"],
        item_mean=entry.traits["item_mean"],
        low=entry.traits["low"],
        high=entry.traits["high"],
        takes=entry.traits["takes"],
        columns=module.columns,
        finish=module.finish,
    )
