"""A metric of one table, or the difference of two, with its interval: without it metrics and statistics never meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from transfuse.evaluation.metric import Metric
from transfuse.evaluation.statistics import weighted
from transfuse.evaluation.statistics.bootstrap import Finish, Resampled, by_unit, interval, refusal, resample
from transfuse.evaluation.statistics.folds import corrected
from transfuse.evaluation.statistics.resample import Interval, exact_zero, moments
from transfuse.evaluation.tables import Table, match_runs, meeting, pair
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


def prepare(tables: Sequence[Table], metrics: Sequence[Metric]) -> None:
    """Draw all resamples that these tables and metrics need at once; what is drawn stays with each table.

    Without it every table would draw the same resamples anew. Means over items need none, and tables of 2 to 4 runs can
    have none.
    """
    wanted = [metric for metric in metrics if not metric.item_mean]
    by_items: dict[tuple[int, int], list[Table]] = {}
    for table in tables:
        if refusal(len(table.runs), 2) is None:
            by_items.setdefault((len(table.items), _units(table)), []).append(table)
    for (items, units), known in by_items.items():
        read = [(table.read_by(metric), metric) for table in known for metric in wanted]
        open_ones = [(table, metric) for table, metric in read if metric.name not in table.memo]
        for table, metric in open_ones if units > 1 else ():
            if metric.weighted is not None:
                table.memo[metric.name] = _of_weights(table, metric)
        open_ones = [(table, metric) for table, metric in open_ones if metric.weighted is None]
        if open_ones and units > 1:
            found = resample([_side(table, metric) for table, metric in open_ones], items)
            for (table, metric), drawn in zip(open_ones, found, strict=True):
                table.memo[metric.name] = drawn


def _units(table: Table) -> int:
    return len(table.items) if table.items.groups is None else len(set(table.items.groups))


def _side(table: Table, metric: Metric) -> tuple[Iterator[np.ndarray], Finish]:
    """The columns of each run, items in the order of their ids: the order of rows changes no resample."""
    order = np.argsort(np.asarray(table.items.ids), kind="stable")
    targets, groups = np.asarray(table.items.targets), table.items.groups
    ordered = None if groups is None else np.asarray(groups)[order]
    return (by_unit(metric.columns(targets, run)[order], ordered) for run in table.probs), metric.finish


def _of_weights(table: Table, metric: Metric) -> Resampled:
    """The resamples of a metric that is no function of sums, items in the order of their ids."""
    order = np.argsort(np.asarray(table.items.ids), kind="stable")
    targets, groups = np.asarray(table.items.targets)[order], table.items.groups
    ordered = None if groups is None else np.asarray(groups)[order]
    assert metric.weighted is not None  # noqa: S101 - the caller has looked; for the type checker
    return weighted.resampled(metric.weighted, targets, table.probs[:, order], ordered, metric.resamples)


def _resampled(table: Table, metric: Metric) -> Resampled:
    prepare([table], [metric])
    return table.memo[metric.name]


def level(table: Table, metric: Metric) -> Estimate:
    """The metric of one arm, mean over its runs. `Undefined` where it does not exist (no item of any class)."""
    table = table.read_by(metric)
    targets, groups = np.asarray(table.items.targets), table.items.groups
    why = None if metric.item_mean else refusal(len(table.runs), _units(table))
    if why is not None:
        values, found = metric.values(targets, table.probs), why
    elif metric.item_mean:
        columns = metric.run_columns(targets, table.probs)
        values, found = metric.finish(columns.sum(axis=1)), moments(columns[..., 0], groups, size=metric.size)
    else:
        drawn = _resampled(table, metric)
        values, found = drawn.points, interval(drawn, metric.size)
    note = ""
    if len(table.runs) > 1 and np.all(table.probs == table.probs[0]):
        note = "no variance over runs: all runs predict the same, so the interval is over items only"
    return _estimate(values, found, table.runs, len(table.items), note)


def compare(first: Table, second: Table, metric: Metric) -> Estimate:
    """The metric of `first` minus that of `second`, paired by item and run, mean over runs."""
    first, second = first.read_by(metric), second.read_by(metric)
    joined = pair(first, second)
    targets, groups = np.asarray(joined.items.targets), joined.items.groups
    if np.array_equal(joined.first, joined.second):
        values = metric.values(targets, joined.first)
        values, found = values - values, exact_zero(len(joined.runs), len(joined.items))
    elif metric.item_mean:
        one, other = metric.run_columns(targets, joined.first), metric.run_columns(targets, joined.second)
        values = metric.finish(one.sum(axis=1)) - metric.finish(other.sum(axis=1))
        gaps, folds = (one - other)[..., 0], shared_folds(first, second)
        repeated = folds is not None and len(folds) == len(gaps) > 1
        size = max(metric.size, *(float(np.abs(each[..., 0]).max()) for each in (one, other)))
        found = corrected(gaps, folds, size) if repeated else moments(gaps, groups, size=size)  # pyright: ignore[reportArgumentType]
    else:
        drawn = _difference(first, second, metric)
        found = drawn if isinstance(drawn, Undefined) else interval(drawn, metric.size)
        if isinstance(drawn, Undefined):
            values = metric.values(targets, joined.first) - metric.values(targets, joined.second)
        else:
            values = drawn.points
    return _estimate(values, found, joined.runs, len(joined.items), joined.note)


def shared_folds(first: Table, second: Table) -> np.ndarray | None:
    """The fold of each row of `first` in each repeat [k, N], where both arms were cross-fitted in the same folds."""
    if first.folds is None or second.folds is None or first.runs != second.runs:
        return None
    rows = meeting(first.items, second.items, f"'{first.arm}' against '{second.arm}'")
    other = second.folds if rows is None else second.folds[:, rows]
    return first.folds if np.array_equal(first.folds, other) else None


def _difference(first: Table, second: Table, metric: Metric) -> Resampled | Undefined:
    """The difference on the resamples that both tables share."""
    runs, left, right, _ = match_runs(first, second)
    why = refusal(len(runs), _units(first))
    if why is not None:
        return why
    sides = []
    for table, places in ((first, left), (second, right)):
        whole = refusal(len(table.runs), 2) is None
        taken = table if whole else _of_runs(table, places)
        sides.append(_resampled(taken, metric).of_runs(places if whole else range(len(places))))
    return sides[0].minus(sides[1])


def _of_runs(table: Table, places: Sequence[int]) -> Table:
    """The table of some of its runs."""
    named, probs = tuple(table.runs[place] for place in places), table.probs[list(places)]
    return replace(table, probs=probs, runs=named, temperatures=None, logits=None, folds=None)


def _estimate(
    values: np.ndarray, interval: Interval | Undefined, runs: tuple[str, ...], items: int, note: str
) -> Estimate:
    value = checked(float(values.mean()), "the metric does not exist on these rows")
    per_run = {run: float(each) for run, each in zip(runs, values, strict=True) if np.isfinite(each)}
    return Estimate(value, interval, per_run, items, note)
