"""How much better is an arm on the rows it learned from? Without it nobody could see what dropout or mixing is for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from transfuse.evaluation.case import ELSEWHERE, Case
from transfuse.evaluation.metric import Metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Quantity, Subject, by_run, evidence, mean_of_runs
from transfuse.types import Evidence

ORDER = 95
PREFIX = "trained_"
NOTE = "training rows scored without dropout, at most 1,024 of them; the judged rows' luck is not in the interval"


def ask(case: Case) -> list[Evidence]:
    """The primary metric on the judged rows against that on the training rows, so that more than 0 is overfitting; and
    its difference between candidates that fuse the same members by the same method and differ in how they train."""
    metric = find_metric(case.task.metric)
    gaps = {name: gap for name in case.tables if (gap := _gap(case, name, metric))}
    quantity = Quantity("generalisation_gap", metric.unit, "lower")
    rows = [evidence(quantity, Subject(name), mean_of_runs(gap, note=NOTE)) for name, gap in gaps.items()]
    difference = Quantity("generalisation_gap_difference", metric.unit, "lower")
    for first, second in combinations(sorted(gaps), 2):
        runs = [run for run in gaps[first] if run in gaps[second]]
        if _alike(case, first, second) and runs:
            paired = {run: gaps[first][run] - gaps[second][run] for run in runs}
            rows.append(evidence(difference, Subject(first, second), mean_of_runs(paired, note=NOTE)))
    return rows


def silent(case: Case) -> dict[str, str]:
    """Networks are scored on their training rows in tasks of classes only."""
    if case.task.kind == "multiclass" or case.protocol == ELSEWHERE:
        return {}
    return {"overfitting": "networks are scored on the rows they learned from in tasks of classes only"}


def _gap(case: Case, name: str, metric: Metric) -> Mapping[str, float]:
    """The gap by run; one mean over the folds where the judged rows are put together from them."""
    trained = {
        seen.run: seen.value
        for seen in case.observations
        if seen.arm == name and seen.quantity == PREFIX + metric.name and seen.final
    }
    table = case.tables[name]
    judged = by_run(table.runs, metric.values(table.items.targets, table.probs))
    sign = 1.0 if metric.direction == "lower" else -1.0
    shared = [run for run in judged if run in trained]
    if shared:
        return {run: sign * (judged[run] - trained[run]) for run in shared}
    if not trained:
        return {}
    return {"all": sign * (sum(judged.values()) / len(judged) - sum(trained.values()) / len(trained))}


def _alike(case: Case, first: str, second: str) -> bool:
    one, other = case.arm(first), case.arm(second)
    candidates = one.role == other.role == "candidate"
    return candidates and (one.method, one.members, one.train) == (other.method, other.members, other.train)
