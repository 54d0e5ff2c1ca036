"""A metric of one table, or the difference of two, with its interval: without it metrics and statistics never meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transfuse.evaluation.metric import Metric
from transfuse.evaluation.resample import Interval, crossed_bootstrap, exact_zero, moments
from transfuse.evaluation.tables import Table, pair
from transfuse.types import Undefined, Value, checked


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `per_run` are the values of single runs, `note` what a reader must know of them."""

    value: Value
    interval: Interval | Undefined
    per_run: dict[str, float]
    items: int
    note: str = ""

    @property
    def method(self) -> str:
        """How the interval was made, or why there is none."""
        found = self.interval
        text = f"no interval: {found.reason}" if isinstance(found, Undefined) else found.method
        return f"{text}; {self.note}" if self.note else text


def level(table: Table, metric: Metric) -> Estimate:
    """The metric of one arm, mean over its runs. `Undefined` where it does not exist (no item of any class)."""
    targets, groups = np.asarray(table.items.targets), table.items.groups
    columns = metric.run_columns(targets, table.probs)
    interval = (
        moments(columns[..., 0], groups)
        if metric.item_mean
        else crossed_bootstrap(columns, metric.finish, groups=groups)
    )
    values = metric.finish(columns.sum(axis=1))
    note = ""
    if len(table.runs) > 1 and np.all(table.probs == table.probs[0]):
        note = "no variance over runs: all runs predict the same, so the interval is over items only"
    return _estimate(values, interval, table.runs, len(table.items), note)


def compare(first: Table, second: Table, metric: Metric) -> Estimate:
    """The metric of `first` minus that of `second`, paired by item and run, mean over runs."""
    joined = pair(first, second)
    targets, groups = np.asarray(joined.items.targets), joined.items.groups
    one, other = metric.run_columns(targets, joined.first), metric.run_columns(targets, joined.second)
    values = metric.finish(one.sum(axis=1)) - metric.finish(other.sum(axis=1))
    if np.array_equal(joined.first, joined.second):
        interval = exact_zero(len(joined.runs), len(joined.items))
    elif metric.item_mean:
        interval = moments((one - other)[..., 0], groups)
    else:
        interval = crossed_bootstrap(one, metric.finish, other, groups=groups)
    return _estimate(values, interval, joined.runs, len(joined.items), joined.note)


def _estimate(
    values: np.ndarray, interval: Interval | Undefined, runs: tuple[str, ...], items: int, note: str
) -> Estimate:
    value = checked(float(values.mean()), "the metric does not exist on these rows")
    per_run = {run: float(each) for run, each in zip(runs, values, strict=True) if np.isfinite(each)}
    return Estimate(value, interval, per_run, items, note)
